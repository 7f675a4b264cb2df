//! `mute`: so many lines of one sort in a row, and no more (error.c, `dont_mute`).

/// Counts lines of one sort in a row.
#[derive(Debug, Default)]
pub(super) struct Mute {
    limit: u32,
    sort: u8,
    count: u32,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// It is written.
    pub(super) shown: bool,
    /// This is written before it.
    pub(super) note: Option<String>,
}

impl Mute {
    /// 0: no limit.
    pub(super) fn set(&mut self, limit: u32) {
        *self = Mute { limit, ..Mute::default() };
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn judge(&mut self, sort: u8) -> Judged {
        let Mute { limit, count, .. } = *self;
        if limit == 0 {
            return Judged { shown: true, note: None };
        }
        // Lines of no sort in particular are never the same.
        if sort > 0 && sort == self.sort {
            self.count = count.saturating_add(1);
            let note = (count == limit).then(|| "NOTE: --mute triggered...".to_owned());
            return Judged { shown: self.count <= limit, note };
        }
        (self.sort, self.count) = (sort, 1);
        let suppressed = count.saturating_sub(limit);
        let note = || format!("{suppressed} variation(s) on previous {limit} message(s) suppressed by --mute");
        Judged { shown: true, note: (suppressed > 0).then(note) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_row_and_then_a_count_of_the_rest() {
        let mut mute = Mute::default();
        mute.set(2);
        let shown: Vec<bool> = [6; 5].map(|sort| mute.judge(sort).shown).to_vec();
        assert_eq!(shown, [true, true, false, false, false]);
        let judged = mute.judge(2);
        assert_eq!(judged.note.as_deref(), Some("3 variation(s) on previous 2 message(s) suppressed by --mute"));
        assert!(judged.shown);
    }

    #[test]
    fn lines_of_no_sort_are_never_muted() {
        let mut mute = Mute::default();
        mute.set(2);
        assert!((0..10).all(|_| mute.judge(0) == Judged { shown: true, note: None }));
    }

    #[test]
    fn without_a_limit_all_are_shown() {
        let mut mute = Mute::default();
        assert!((0..100).all(|_| mute.judge(1) == Judged { shown: true, note: None }));
    }
}
