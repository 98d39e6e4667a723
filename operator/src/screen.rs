//! A block of lines at the end of a terminal, redrawn in place, with the log scrolling above it.
//!
//! Deliberately no progress-bar library: the block is plain lines of varying number, and erasing and writing
//! them again is the whole job. What the lines say is in `render`.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dbop_model::visible;
use tracing_subscriber::fmt::MakeWriter;

use crate::render::paint;
use crate::render::text::width;

/// A terminal that does not say how large it is.
const SIZE_DEFAULT: (usize, usize) = (100, 24);
/// Narrower than this, lines are cut to nonsense: let the terminal wrap them.
const COLUMNS_MIN: usize = 40;

/// The screen that shows a block now, so that the log goes around it.
static LIVE: OnceLock<Arc<Screen>> = OnceLock::new();

/// A terminal with a block at its end.
pub(crate) struct Screen {
    drawn: Mutex<Drawn>,
    colour: bool,
    size: fn() -> (usize, usize),
}

struct Drawn {
    out: Box<dyn Write + Send>,
    lines: Vec<String>,
}

impl Screen {
    /// The screen on stdout, where that is a terminal which can move its cursor.
    pub(crate) fn of_stdout() -> Option<Arc<Self>> {
        let stdout = io::stdout();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if !stdout.is_terminal() || dumb {
            return None;
        }
        let screen = Arc::new(Self {
            colour: paint::wanted(&stdout),
            drawn: Mutex::new(Drawn {
                out: Box::new(stdout),
                lines: Vec::new(),
            }),
            size: terminal,
        });
        // A second one would only mean that the log does not know of it.
        let _ = LIVE.set(screen.clone());
        Some(screen)
    }

    /// The columns that lines may take.
    pub(crate) fn columns(&self) -> usize {
        (self.size)().0.max(COLUMNS_MIN)
    }

    /// Shows these lines in place of the block.
    pub(crate) fn draw(&self, lines: Vec<String>) {
        let mut drawn = self.lock();
        let room = (self.size)().1.saturating_sub(2).max(1);
        let lines = fitted(lines, room);
        if lines == drawn.lines {
            return;
        }
        let text = format!("{}{}", self.erase(&drawn.lines), self.text(&lines));
        drawn.lines = lines;
        drawn.write(&text);
    }

    /// Writes something above the block.
    pub(crate) fn above(&self, write: impl FnOnce(&mut dyn Write)) {
        let mut drawn = self.lock();
        let erase = self.erase(&drawn.lines);
        drawn.write(&erase);
        write(&mut drawn.out);
        let block = self.text(&drawn.lines);
        drawn.write(&block);
    }

    /// Leaves the block where it is: what comes is written below it.
    pub(crate) fn leave(&self) {
        self.lock().lines.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Drawn> {
        // A panic while drawing leaves a picture that the next one puts right.
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, lines: &[String]) -> String {
        let text: String = lines
            .iter()
            .flat_map(|line| [visible::line(line), "\n".into()])
            .collect();
        if self.colour {
            paint::painted(&text)
        } else {
            text
        }
    }

    /// To the first line of the block, and everything from there on away. Lines that the terminal has wrapped
    /// since count as many.
    fn erase(&self, lines: &[String]) -> String {
        let columns = (self.size)().0.max(1);
        let rows: usize = lines
            .iter()
            .map(|line| width(line).max(1).div_ceil(columns))
            .sum();
        if rows == 0 {
            String::new()
        } else {
            format!("\x1b[{rows}A\r\x1b[J")
        }
    }
}

impl Drawn {
    fn write(&mut self, text: &str) {
        // A terminal that is gone takes no picture; the work goes on.
        let _ = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }
}

/// No more lines than there is room for: a block that scrolls cannot be redrawn.
fn fitted(mut lines: Vec<String>, room: usize) -> Vec<String> {
    if lines.len() > room {
        let more = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("... {more} lines more: see `status`"));
    }
    lines
}

fn terminal() -> (usize, usize) {
    terminal_size::terminal_size().map_or(SIZE_DEFAULT, |(columns, rows)| {
        (usize::from(columns.0), usize::from(rows.0))
    })
}

/// The log's way to stderr: above the block where one is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match LIVE.get() {
            // What cannot be logged has nowhere to be reported.
            Some(screen) => screen.above(|_| {
                let _ = io::stderr().write_all(bytes);
            }),
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = LogWriter;
    fn make_writer(&'w self) -> Self::Writer {
        *self
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::visible::hostile;

    use super::*;
    use crate::shell::testing::Tape;

    fn screen(tape: &Tape) -> Screen {
        let drawn = Mutex::new(Drawn {
            out: Box::new(tape.clone()),
            lines: Vec::new(),
        });
        Screen {
            drawn,
            colour: false,
            size: || (10, 5),
        }
    }

    fn lines(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn a_block_is_redrawn_in_place_and_only_when_it_changes() {
        let tape = Tape::default();
        let screen = screen(&tape);
        screen.draw(lines("one|two"));
        assert_eq!(tape.take(), "one\ntwo\n");
        screen.draw(lines("one|two"));
        assert_eq!(tape.take(), "");
        screen.draw(lines("three"));
        assert_eq!(tape.take(), "\x1b[2A\r\x1b[Jthree\n");
        screen.above(|out| out.write_all(b"log\n").unwrap());
        assert_eq!(tape.take(), "\x1b[1A\r\x1b[Jlog\nthree\n");
        screen.leave();
        screen.draw(lines("four"));
        assert_eq!(tape.take(), "four\n");
    }

    #[test]
    fn lines_that_the_terminal_wrapped_are_erased_whole() {
        let tape = Tape::default();
        let screen = screen(&tape);
        screen.draw(lines("twelve chars|x"));
        tape.take();
        screen.draw(lines("y"));
        assert_eq!(tape.take(), "\x1b[3A\r\x1b[Jy\n");
    }

    #[test]
    fn a_line_of_a_block_stays_one_whatever_is_in_it() {
        let tape = Tape::default();
        let screen = screen(&tape);
        for text in hostile::texts() {
            screen.draw(vec![format!("a{text}")]);
            let shown = tape.take();
            // Ours is the way back to the line before.
            let shown = shown.rsplit("\x1b[J").next().unwrap();
            let line = shown.strip_suffix('\n').unwrap();
            assert_eq!(hostile::harm(line), "", "{line}");
        }
    }

    #[test]
    fn a_block_never_scrolls() {
        let tape = Tape::default();
        screen(&tape).draw(lines("1|2|3|4|5"));
        assert_eq!(tape.take(), "1\n2\n... 3 lines more: see `status`\n");
    }
}
