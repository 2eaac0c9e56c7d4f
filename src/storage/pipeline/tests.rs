use std::time::Duration;

use rand::{RngCore, SeedableRng};

use super::*;
use crate::host::Pages;
use crate::storage::read::ring::Polling;

/// Bytes of a block.
const BLOCK: usize = 1 << 15;

/// Two files of random bytes, and their content.
fn files() -> (tempfile::TempDir, Vec<File>, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut random = rand_pcg::Mcg128Xsl64::seed_from_u64(5);
    let make = |(i, bytes): (usize, usize)| {
        let mut content = vec![0; bytes];
        random.fill_bytes(&mut content);
        let path = dir.path().join(i.to_string());
        std::fs::write(&path, &content).unwrap();
        (File::open(path).unwrap(), content)
    };
    let (files, contents) = [700_001, 1_300_000].into_iter().enumerate().map(make).unzip();
    (dir, files, contents)
}

fn cut(contents: &[Vec<u8>]) -> Blocks {
    let lengths: Vec<u64> = contents.iter().map(|c| c.len() as u64).collect();
    Blocks::whole_files(&lengths, BLOCK, 512)
}

fn buffer(bytes: usize) -> Buffer {
    let mut memory = Buffer::new(bytes, Pages::Small).unwrap();
    memory.as_mut_slice::<u8>().fill(0xa5);
    memory
}

/// A pipeline of `slots` slots, filled by `threads` threads.
fn pipeline(slots: usize, threads: usize, destination: &mut dyn Destination) -> Pipeline {
    let reader = Reader::new(&vec![0; threads], 4, Polling::None).unwrap();
    Pipeline::new(reader, buffer(slots * BLOCK), BLOCK, destination).unwrap()
}

/// Looks at the bytes only after a while, as a transfer that is still under way would.
struct Late {
    inner: Buffer,
    delays: u32,
    failure: Option<u32>,
}

impl Late {
    fn new(bytes: usize) -> Self {
        Self { inner: buffer(bytes), delays: 0, failure: None }
    }
}

impl Destination for Late {
    fn attach(&mut self, staging: &mut Buffer) -> Result<Box<dyn Any + Send>> {
        self.inner.attach(staging)
    }
    fn take(&mut self, pieces: &[Piece<'_>]) -> Result<()> {
        for piece in pieces {
            if self.delays > 0 {
                self.delays -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            match &mut self.failure {
                Some(0) => return Err(Error::Unavailable("device lost".into())),
                Some(left) => *left -= 1,
                None => {}
            }
            self.inner.take(&[*piece])?;
        }
        Ok(())
    }
    fn read_back(&mut self, at: usize, into: &mut [u8]) -> Result<()> {
        self.inner.read_back(at, into)
    }
    fn poison(&mut self, value: u8) -> Result<()> {
        self.inner.poison(value)
    }
    fn path(&self) -> String {
        "late".into()
    }
}

#[test]
fn a_slot_is_not_filled_again_before_its_content_was_taken() {
    let (_dir, files, contents) = files();
    let cut = cut(&contents);
    for (slots, threads) in [(2, 1), (3, 2), (64, 2)] {
        let mut late = Late::new(cut.memory);
        let mut pipeline = pipeline(slots, threads, &mut late);
        for delays in [0, 12] {
            late.poison(0xa5).unwrap();
            late.delays = delays;
            let times = pipeline.run(&files, &cut, &mut late).unwrap();
            for (content, &at) in contents.iter().zip(&cut.placements) {
                let mut arrived = vec![0; content.len()];
                late.read_back(at, &mut arrived).unwrap();
                assert!(arrived == *content, "{slots} slots, {threads} threads, {delays} delays");
            }
            assert!(times.take_s >= 0.01 * f64::from(delays) && times.total_s >= times.take_s);
        }
        assert!(pipeline.take_only(&cut, &mut late).unwrap() > 0.0);
    }
}

/// Runs `operation` on a thread, and fails rather than wait for it for ever.
fn within_a_minute<R: Send + 'static>(operation: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(operation()));
    receiver.recv_timeout(Duration::from_secs(60)).expect("it does not hang")
}

#[test]
fn a_failure_on_either_side_ends_the_load() {
    let (_dir, files, contents) = files();
    within_a_minute(move || {
        for (threads, after) in [(1, 0), (2, 7), (1, 30)] {
            let mut failing = Late::new(cut(&contents).memory);
            failing.failure = Some(after);
            let mut pipeline = pipeline(3, threads, &mut failing);
            let failure = pipeline.run(&files, &cut(&contents), &mut failing).unwrap_err();
            assert!(matches!(failure, Failure::Take(Error::Unavailable(_))), "{failure:?}");
            // The same slots serve again.
            failing.failure = None;
            pipeline.run(&files, &cut(&contents), &mut failing).unwrap();
        }
        let mut longer = contents.clone();
        longer[1].push(0);
        let mut late = Late::new(cut(&longer).memory);
        let failure = pipeline(3, 2, &mut late).run(&files, &cut(&longer), &mut late);
        let Err(Failure::Read(fault)) = failure else { panic!("the file is too short") };
        assert_eq!((fault.file, fault.error.kind()), (1, std::io::ErrorKind::UnexpectedEof));
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let (_dir, files, contents) = files();
    let mut memory = buffer(10);
    let reader = || Reader::new(&[0], 4, Polling::None).unwrap();
    let one_slot = Pipeline::new(reader(), buffer(BLOCK), BLOCK, &mut memory);
    assert!(matches!(one_slot, Err(Error::Unavailable(_))));
    let mut small = Pipeline::new(reader(), buffer(8192), 1024, &mut memory).unwrap();
    let failure = small.run(&files, &cut(&contents), &mut memory).unwrap_err();
    assert!(matches!(failure, Failure::Read(_)), "a block longer than a slot");
    let mut wide = pipeline(4, 1, &mut memory);
    let failure = wide.run(&files, &cut(&contents), &mut memory).unwrap_err();
    assert!(matches!(failure, Failure::Take(Error::Wrong(_))), "a destination too small");
}
