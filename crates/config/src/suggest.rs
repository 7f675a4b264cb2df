//! "Did you mean": the known name nearest to an unknown one.

/// The nearest of `known`, if it is near enough to be meant: a third of its length in edits, at least one.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown: Vec<char> = unknown.to_lowercase().chars().take(LONGEST + 1).collect();
    if unknown.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(&unknown, &name.to_lowercase().chars().collect::<Vec<_>>()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Names longer than this are not compared: nobody mistypes them, and the cost is quadratic.
const LONGEST: usize = 64;

/// Insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`
/// (optimal string alignment distance).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 { i + j } else { step(&rows, a, b, i, j) };
        }
    }
    rows[a.len()][b.len()]
}

fn step(rows: &[Vec<usize>], a: &[char], b: &[char], i: usize, j: usize) -> usize {
    let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
    let plain = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
    if swapped { plain.min(rows[i - 2][j - 2] + 1) } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_name() {
        let known = ["channels", "networks", "mtu", "preshared_key_file"];
        for (slip, meant) in
            [("chanels", "channels"), ("netwroks", "networks"), ("mut", "mtu"), ("Preshared-Key-File", known[3])]
        {
            assert_eq!(nearest(slip, known), Some(meant), "{slip}");
        }
    }

    #[test]
    fn what_is_far_from_everything_finds_nothing() {
        assert_eq!(nearest("colour", ["channels", "mtu"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["channels"]), None);
    }

    #[test]
    fn a_swap_is_one_edit_as_is_any_other() {
        let count = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("ab", "ba"), 1);
        assert_eq!(count("abc", "ac"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }
}
