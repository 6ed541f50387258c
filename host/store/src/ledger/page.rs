//! Pages: some rows of a list, and where the next ones begin.

/// The most rows that one page holds, whatever the caller asks: a page is read into
/// memory as a whole.
pub const LONGEST_PAGE: u32 = 1000;

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// How many rows to fetch for a page: one more than it holds tells whether another
    /// follows.
    pub(crate) fn rows(limit: u32) -> i64 {
        Self::size(limit) + 1
    }

    /// How many rows a page holds at most.
    pub(crate) fn size(limit: u32) -> i64 {
        i64::from(limit.clamp(1, LONGEST_PAGE))
    }

    /// A page of the [rows](Self::rows) that were fetched for it.
    pub(crate) fn of(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> i64) -> Self {
        let size = usize::try_from(Self::size(limit)).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(place);
        Self { items, next }
    }
}
