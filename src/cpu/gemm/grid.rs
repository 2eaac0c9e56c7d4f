//! Who computes what: C cut into a grid of parts.

use std::ops::Range;

use crate::cpu::kernel::LANES;

/// Rows and columns of C that are computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Rows of A and C.
    pub rows: Range<usize>,
    /// Panels of B: 16 columns of C each.
    pub panels: Range<usize>,
}

/// A grid of parts over C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    m: usize,
    panels: usize,
    /// Rows of a register tile: parts are cut between tiles.
    tile_rows: usize,
    down: usize,
    across: usize,
}

impl Grid {
    /// The grid of `workers` parts over `m` x `n` whose largest part costs least.
    ///
    /// A part of r rows and c columns costs r c for the products, and about r + c times [`PACKING`] for packing its rows
    /// of A and its columns of B, all times K.
    pub fn new(m: usize, n: usize, workers: usize, tile_rows: usize) -> Self {
        let grid =
            |down| Self { m, panels: n.div_ceil(LANES), tile_rows, down, across: workers / down };
        let cost = |grid: &Self| {
            let (rows, columns) = grid.largest();
            rows * columns + PACKING * (rows + columns)
        };
        (1..=workers)
            .filter(|down| workers.is_multiple_of(*down))
            .map(grid)
            .min_by_key(cost)
            .unwrap_or_else(|| grid(1))
    }

    /// Rows and columns of the largest part.
    pub fn largest(&self) -> (usize, usize) {
        let rows = self.m.div_ceil(self.tile_rows).div_ceil(self.down) * self.tile_rows;
        (rows.min(self.m), self.panels.div_ceil(self.across) * LANES)
    }

    /// Part `index`: none when C is too small for as many.
    pub fn part(&self, index: usize) -> Option<Part> {
        let (row, column) = (index / self.across, index % self.across);
        let tiles = cut(self.m.div_ceil(self.tile_rows), self.down, row);
        let rows = tiles.start * self.tile_rows..(tiles.end * self.tile_rows).min(self.m);
        let panels = cut(self.panels, self.across, column);
        (row < self.down && !rows.is_empty() && !panels.is_empty()).then_some(Part { rows, panels })
    }
}

/// Products that take as long as packing one element.
const PACKING: usize = 16;

/// Piece `index` of `0..length` cut into `pieces`, which differ by at most one.
fn cut(length: usize, pieces: usize, index: usize) -> Range<usize> {
    length * index / pieces..length * (index + 1) / pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_c_exactly_once() {
        for (m, n, workers, tile) in
            [(1, 1, 4, 6), (17, 33, 3, 6), (2048, 2048, 2, 14), (5, 1000, 7, 2), (100, 3, 8, 6)]
        {
            let grid = Grid::new(m, n, workers, tile);
            let mut seen = vec![0; m * n];
            for part in (0..workers).filter_map(|index| grid.part(index)) {
                let (rows, columns) = grid.largest();
                assert!(part.rows.len() <= rows && part.panels.len() * LANES <= columns);
                for row in part.rows {
                    for column in part.panels.start * LANES..(part.panels.end * LANES).min(n) {
                        seen[row * n + column] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{m} x {n} on {workers}");
        }
    }

    #[test]
    fn one_token_is_cut_along_the_weights() {
        let grid = Grid::new(1, 4096, 8, 6);
        assert_eq!((grid.down, grid.across), (1, 8));
    }
}
