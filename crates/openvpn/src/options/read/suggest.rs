//! What somebody may have meant.

/// The known name that is at most two slips of the pen away, the nearest first; of a short name every third character may be
/// wrong.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).min(2);
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(slips, _)| slips <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Characters to insert, take out or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = || ["ping", "ping-restart", "persist-tun", "log", "ca"].into_iter();
        assert_eq!(nearest("ping-restrat", known()), Some("ping-restart"));
        assert_eq!(nearest("pin", known()), Some("ping"));
        assert_eq!(nearest("persist-everything", known()), None);
        assert_eq!([nearest("foo", known()), nearest("bar", known()), nearest("cb", known())], [None; 3]);
    }
}
