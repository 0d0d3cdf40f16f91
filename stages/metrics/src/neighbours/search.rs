//! The nearest vectors, found by looking at all of them.

use std::cmp::Ordering;

use rayon::prelude::*;
use sndpipe_artefacts::Embedded;
use sndpipe_engine::StageError;
use sndpipe_linalg::inner_products;

/// Queries that are compared at once, …
const QUERIES: usize = 64;
/// … and vectors of the bank. Both are fixed, so that a product has the same bits for any number of threads.
const BANK: usize = 4096;

/// Vectors of one size, one behind the other, and which clip each is of.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// `[n, size]`, finite.
    pub values: &'a [f32],
    /// Numbers of a vector.
    pub size: usize,
    /// The clip of each vector, `[n]`.
    pub clips: &'a [u32],
}

impl<'a> From<&'a Embedded> for Vectors<'a> {
    fn from(of: &'a Embedded) -> Self {
        Self { values: &of.values, size: of.size, clips: &of.clips }
    }
}

impl<'a> Vectors<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.clips.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.clips.is_empty()
    }

    /// The values of some neighbouring vectors.
    fn block(self, from: usize, to: usize) -> &'a [f32] {
        &self.values[from * self.size..to * self.size]
    }
}

/// A vector of the bank that is near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its place in the bank.
    pub at: u32,
    /// The inner product with the query, less the vector's offset.
    pub similarity: f32,
}

impl Neighbour {
    /// The more similar one first, of equals the one that stands first in the bank.
    fn order(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.at.cmp(&other.at))
    }
}

/// What is searched, and how.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Where neighbours are looked for.
    pub bank: Vectors<'a>,
    /// What is taken from the inner product with each vector of the bank; empty for nothing. With half the squared lengths, the most
    /// similar vectors are those at the smallest distance.
    pub offsets: &'a [f32],
    /// How many neighbours there are; fewer where the bank has no more.
    pub k: usize,
    /// Whether a vector of the query's own clip is no neighbour.
    pub others: bool,
}

impl Search<'_> {
    /// What `of` makes of the neighbours of each query, the most similar first; queries are compared in parallel.
    ///
    /// # Errors
    /// Those of `tick`; [`StageError::Failed`] if the sizes differ.
    pub fn each<T: Send>(
        &self,
        queries: Vectors<'_>,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
        of: impl Fn(usize, &[Neighbour]) -> T + Sync,
    ) -> Result<Vec<T>, StageError> {
        if queries.size != self.bank.size {
            let message = format!("vectors of {} numbers are compared with {}", queries.size, self.bank.size);
            return Err(StageError::failed(message));
        }
        let blocks: Vec<Result<Vec<T>, StageError>> = (0..queries.len().div_ceil(QUERIES))
            .into_par_iter()
            .with_max_len(1)
            .map(|block| {
                let (from, to) = (block * QUERIES, (block * QUERIES + QUERIES).min(queries.len()));
                let found = self.block(queries, from, to, tick)?;
                Ok(found.into_iter().enumerate().map(|(at, found)| of(from + at, &found)).collect())
            })
            .collect();
        let mut all = Vec::with_capacity(queries.len());
        for block in blocks {
            all.extend(block?);
        }
        Ok(all)
    }

    /// The neighbours of neighbouring queries.
    fn block(
        &self,
        queries: Vectors<'_>,
        from: usize,
        to: usize,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Vec<Vec<Neighbour>>, StageError> {
        let mut nearest: Vec<Nearest> = (from..to).map(|_| Nearest::new(self.k)).collect();
        let mut products = vec![0.0; (to - from) * BANK.min(self.bank.len())];
        for first in (0..self.bank.len()).step_by(BANK) {
            tick()?;
            let last = (first + BANK).min(self.bank.len());
            let products = &mut products[..(to - from) * (last - first)];
            let (query, bank) = (queries.block(from, to), self.bank.block(first, last));
            inner_products(query, bank, self.bank.size, products)
                .map_err(|error| StageError::failed(error.to_string()))?;
            for ((query, products), nearest) in
                (from..to).zip(products.chunks_exact(last - first)).zip(&mut nearest)
            {
                let own = self.others.then(|| queries.clips[query]);
                for (at, &product) in (first..last).zip(products.iter()) {
                    let offset = self.offsets.get(at).copied().unwrap_or(0.0);
                    // Zero has one sign, so that equals are equal.
                    let similarity = product - offset + 0.0;
                    if similarity > nearest.floor && own != Some(self.bank.clips[at]) {
                        // A bank of 2^32 vectors does not fit into memory.
                        nearest.offer(Neighbour { at: at as u32, similarity });
                    }
                }
            }
        }
        Ok(nearest.into_iter().map(Nearest::done).collect())
    }
}

/// The nearest that were seen so far.
struct Nearest {
    k: usize,
    found: Vec<Neighbour>,
    /// What is not above it is no neighbour: vectors come in the order of the bank, and the later of equals loses.
    floor: f32,
}

impl Nearest {
    fn new(k: usize) -> Self {
        let floor = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, found: Vec::new(), floor }
    }

    fn offer(&mut self, neighbour: Neighbour) {
        self.found.push(neighbour);
        if self.found.len() >= 2 * self.k + 64 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.found.len() > self.k {
            let (_, last, _) = self.found.select_nth_unstable_by(self.k - 1, Neighbour::order);
            self.floor = last.similarity;
            self.found.truncate(self.k);
        }
    }

    fn done(mut self) -> Vec<Neighbour> {
        self.cut();
        self.found.sort_unstable_by(Neighbour::order);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use sndpipe_random::Stream;

    use super::*;

    /// Vectors of small whole numbers: products are exact, and many are equal.
    fn vectors(n: usize, size: usize, seed: u64) -> Vec<f32> {
        let mut rng = Stream::new(seed, "vectors").at(0, 0);
        (0..n * size).map(|_| rng.index(5) as f32 - 2.0).collect()
    }

    /// By the definition: every product, sorted.
    fn expected(queries: Vectors<'_>, search: &Search<'_>) -> Vec<Vec<u32>> {
        let vector = |of: Vectors<'_>, at: usize| of.values[at * of.size..(at + 1) * of.size].to_vec();
        let one = |query: usize| {
            let mut all: Vec<(i64, u32)> = (0..search.bank.len())
                .filter(|&at| !search.others || search.bank.clips[at] != queries.clips[query])
                .map(|at| {
                    let pairs = vector(queries, query).into_iter().zip(vector(search.bank, at));
                    let product: f32 = pairs.map(|(a, b)| a * b).sum();
                    let offset = search.offsets.get(at).copied().unwrap_or(0.0);
                    (-((product - offset) * 2.0) as i64, at as u32)
                })
                .collect();
            all.sort_unstable();
            all.into_iter().take(search.k).map(|(_, at)| at).collect()
        };
        (0..queries.len()).map(one).collect()
    }

    #[test]
    fn neighbours_are_those_of_the_definition() {
        // More queries and more of the bank than fit into one block.
        let (queries, bank) = (vectors(150, 6, 1), vectors(9000, 6, 2));
        let (query_clips, bank_clips): (Vec<u32>, Vec<u32>) =
            ((0..150).map(|at| at / 3).collect(), (0..9000).map(|at| at / 100).collect());
        let queries = Vectors { values: &queries, size: 6, clips: &query_clips };
        let halves: Vec<f32> =
            bank.chunks_exact(6).map(|of| of.iter().map(|x| x * x).sum::<f32>() / 2.0).collect();
        let bank = Vectors { values: &bank, size: 6, clips: &bank_clips };
        for (k, others, offsets) in
            [(1, false, &[][..]), (7, true, &[]), (200, true, &halves), (9500, false, &[])]
        {
            let search = Search { bank, offsets, k, others };
            let found = search
                .each(queries, &|| Ok(()), |_, found| found.iter().map(|of| of.at).collect::<Vec<_>>())
                .unwrap();
            assert!(found == expected(queries, &search), "k {k}, others {others}");
        }
    }

    #[test]
    fn a_search_can_be_stopped() {
        let (values, clips) = (vectors(100, 2, 3), vec![0; 100]);
        let bank = Vectors { values: &values, size: 2, clips: &clips };
        let search = Search { bank, offsets: &[], k: 3, others: false };
        let stopped = search.each(bank, &|| Err(StageError::Interrupted), |_, _| ());
        assert!(matches!(stopped, Err(StageError::Interrupted)));
        let other = Vectors { values: &values, size: 4, clips: &clips[..50] };
        assert!(search.each(other, &|| Ok(()), |_, _| ()).is_err());
    }
}
