//! A list that grows at its end, in shared chunks: a clone copies one pointer per chunk, and a change copies at most one
//! chunk. So checkpoints of a long run share what the checkers remember.

use std::sync::Arc;

/// Entries per chunk.
const CHUNK: usize = 256;

/// A list in shared chunks.
#[derive(Clone, Debug)]
pub struct Table<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Clone> Table<T> {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at a place.
    pub fn get(&self, at: usize) -> Option<&T> {
        if at >= self.len {
            return None;
        }
        Some(&self.chunks[at / CHUNK][at % CHUNK])
    }

    /// The entry at a place, to be changed.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        Some(&mut Arc::make_mut(&mut self.chunks[at / CHUNK])[at % CHUNK])
    }

    /// The last entry.
    pub fn last(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// One more entry.
    pub fn push(&mut self, entry: T) {
        if self.len % CHUNK == 0 {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        let last = self
            .chunks
            .last_mut()
            .expect("a chunk was just made sure of");
        Arc::make_mut(last).push(entry);
        self.len += 1;
    }

    /// Only the first `len` entries stay.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.chunks.truncate(len.div_ceil(CHUNK));
        if len % CHUNK > 0 {
            let last = self.chunks.last_mut().expect("the cut lies in a chunk");
            Arc::make_mut(last).truncate(len % CHUNK);
        }
        self.len = len;
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The entries from a place on.
    pub fn starting_at(&self, at: usize) -> impl Iterator<Item = &T> {
        (at..self.len).map(|i| &self.chunks[i / CHUNK][i % CHUNK])
    }

    /// The first place at which `is_before` does not hold; it holds for all entries before that place and for none after.
    pub fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        // The last chunk that begins before it, and the place in that.
        let begins_before = |chunk: &Arc<Vec<T>>| chunk.first().is_some_and(&is_before);
        let chunks = self.chunks.partition_point(begins_before);
        let Some(last) = chunks.checked_sub(1) else {
            return 0;
        };
        last * CHUNK + self.chunks[last].partition_point(&is_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Table<usize> {
        let mut table = Table::default();
        (0..n).for_each(|i| table.push(i));
        table
    }

    #[test]
    fn a_table_is_a_list() {
        for n in [0, 1, 255, 256, 257, 700] {
            let table = numbers(n);
            assert_eq!(
                table.iter().copied().collect::<Vec<_>>(),
                (0..n).collect::<Vec<_>>()
            );
            assert_eq!(table.last().copied(), n.checked_sub(1));
            assert_eq!(table.get(n), None);
            assert_eq!(table.partition_point(|i| *i < 300), n.min(300));
        }
    }

    #[test]
    fn cutting_and_growing_again_leaves_no_trace() {
        for cut in [0, 1, 256, 300, 512] {
            let mut table = numbers(600);
            table.truncate(cut);
            (cut..600).for_each(|i| table.push(i));
            assert_eq!(
                table.iter().copied().collect::<Vec<_>>(),
                (0..600).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut table = numbers(300);
        let kept = table.clone();
        *table.get_mut(7).expect("there are 300") = 1_000;
        table.push(1_001);
        assert_eq!(kept.get(7), Some(&7));
        assert_eq!(kept.len(), 300);
        assert_eq!(table.get(7), Some(&1_000));
    }
}
