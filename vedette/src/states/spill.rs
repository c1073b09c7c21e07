//! States that were not needed lately, as bytes in a file without a name: it ends with the process, and a checkpoint
//! holds what must not. About 80 bytes of memory a state.

use schema::StateId;
use schema::Uniform;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes by id, oldest first.
#[derive(Default)]
pub(super) struct Spill {
    places: HashMap<StateId, Place, Uniform>,
    /// In the order they were put; one that was taken, or put again, is passed over.
    order: VecDeque<(StateId, u64)>,
    file: Option<File>,
    /// Where `unwritten` begins in the file.
    written: u64,
    /// The last bytes put.
    unwritten: Vec<u8>,
    /// Bytes of the states that are there.
    live: u64,
    /// Length of `unwritten` at which the disk is tried: grows while it refuses.
    write_at: usize,
}

#[derive(Clone, Copy)]
struct Place {
    at: u64,
    bytes: u32,
}

impl Spill {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live
    }

    pub(super) fn put(&mut self, id: StateId, state: &[u8]) {
        self.remove(id);
        let Ok(bytes) = u32::try_from(state.len()) else { return }; // states are bounded far below 4 GiB
        let at = self.written + self.unwritten.len() as u64;
        self.unwritten.extend_from_slice(state);
        self.live += u64::from(bytes);
        self.places.insert(id, Place { at, bytes });
        self.order.push_back((id, at));
        if self.order.len() > 2 * self.places.len() + PASSED_OVER_MIN {
            let places = &self.places;
            self.order.retain(|(id, at)| places.get(id).is_some_and(|place| place.at == *at));
        }
        if self.unwritten.len() >= self.write_at.max(BUFFER_BYTES) {
            self.write();
        }
        if self.written > 2 * self.live + REWRITE_BYTES_MIN {
            self.rewrite();
        }
    }

    /// The state, still here afterwards.
    pub(super) fn get(&self, id: StateId) -> Option<Vec<u8>> {
        let place = self.places.get(&id)?;
        self.read(*place).inspect_err(|error| tracing::error!(%error, "a spilled state cannot be read back")).ok()
    }

    /// The state, which is here no more.
    pub(super) fn take(&mut self, id: StateId) -> Option<Vec<u8>> {
        let state = self.get(id);
        self.remove(id);
        state
    }

    pub(super) fn remove(&mut self, id: StateId) {
        if let Some(place) = self.places.remove(&id) {
            self.live -= u64::from(place.bytes);
        }
    }

    /// Forgets the one that was put first.
    pub(super) fn forget_oldest(&mut self) -> Option<StateId> {
        while let Some((id, at)) = self.order.pop_front() {
            if self.places.get(&id).is_some_and(|place| place.at == at) {
                self.remove(id);
                return Some(id);
            }
        }
        None
    }

    /// Ids in the order they were put.
    pub(super) fn ids(&self) -> impl Iterator<Item = StateId> {
        let is_there = |(id, at): &&(StateId, u64)| self.places.get(id).is_some_and(|place| place.at == *at);
        self.order.iter().filter(is_there).map(|(id, _)| *id)
    }

    fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let length = place.bytes as usize;
        if let Some(at) = place.at.checked_sub(self.written) {
            let bytes = self.unwritten.get(at as usize..at as usize + length);
            return bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.file.as_ref().ok_or(io::ErrorKind::NotFound)?.read_exact_at(&mut bytes, place.at)?;
        Ok(bytes)
    }

    fn write(&mut self) {
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => tempfile::tempfile(),
        };
        let wrote = file.and_then(|file| file.write_all_at(&self.unwritten, self.written).map(|()| file));
        match wrote {
            Ok(file) => {
                self.file = Some(file);
                self.written += self.unwritten.len() as u64;
                self.unwritten.clear();
                self.write_at = BUFFER_BYTES;
            }
            // Kept in memory, and tried again later: a full disk must not cost a session its past.
            Err(error) => {
                tracing::error!(%error, "states cannot be spilled to disk: they stay in memory");
                self.write_at = 2 * self.unwritten.len();
            }
        }
    }

    /// Begins a new file with what is still there.
    fn rewrite(&mut self) {
        let mut fresh = Self { order: VecDeque::with_capacity(self.places.len()), ..Self::default() };
        for id in self.ids() {
            if let Some(state) = self.get(id) {
                fresh.put(id, &state);
            }
        }
        *self = fresh;
    }
}

/// Fewer that are passed over are not worth looking for.
const PASSED_OVER_MIN: usize = 4_096;
const BUFFER_BYTES: usize = 64 * 1024;
/// Below this a file is not worth rewriting.
const REWRITE_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(n: u128, round: usize) -> Vec<u8> {
        format!("{n}/{round}/").into_bytes().repeat(100)
    }

    #[test]
    fn what_is_put_is_got_from_memory_and_disk_the_last_of_each() {
        let mut spill = Spill::default();
        for round in 0..40 {
            (0..100).for_each(|n| spill.put(StateId(n), &state(n, round)));
        }
        assert!(spill.written > 0, "the test is to reach the disk");
        for n in 0..100 {
            assert_eq!(spill.get(StateId(n)), Some(state(n, 39)));
        }
        assert_eq!(spill.take(StateId(7)), Some(state(7, 39)));
        assert_eq!((spill.take(StateId(7)), spill.len()), (None, 99));
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_one_put_again_is_young() {
        let mut spill = Spill::default();
        (0..4).for_each(|n| spill.put(StateId(n), b"x"));
        spill.put(StateId(0), b"y");
        spill.take(StateId(2));
        assert_eq!(std::iter::from_fn(|| spill.forget_oldest()).map(|id| id.0).collect::<Vec<_>>(), [1, 3, 0]);
    }

    #[test]
    fn a_rewritten_file_holds_the_same() {
        let mut spill = Spill::default();
        for round in 0..40 {
            (0..100).for_each(|n| spill.put(StateId(n), &state(n, round)));
        }
        let before = spill.written;
        spill.rewrite();
        assert!(spill.written < before / 10);
        for n in 0..100 {
            assert_eq!(spill.get(StateId(n)), Some(state(n, 39)));
        }
        assert_eq!(spill.ids().map(|id| id.0).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}
