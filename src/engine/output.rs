//! The two streams of a process in a container: stdout line by line, of stderr the end.

use bollard::container::LogOutput;

/// Splits a stream of chunks into lines; a line that is too long to be one of the collector's is cut.
pub(super) struct Output<F: FnMut(&str)> {
    on_line: F,
    line: Vec<u8>,
    stderr: Vec<u8>,
}

impl<F: FnMut(&str)> Output<F> {
    const LONGEST_LINE: usize = 16 * 1024;
    const STDERR_TAIL: usize = 4 * 1024;

    pub(super) fn new(on_line: F) -> Self {
        Self { on_line, line: Vec::new(), stderr: Vec::new() }
    }

    pub(super) fn take_in(&mut self, chunk: &LogOutput) {
        match chunk {
            LogOutput::StdErr { message } => self.stderr(message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => self.stdout(message),
            LogOutput::StdIn { .. } => {}
        }
    }

    fn stdout(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.append(&bytes[..end]);
            (self.on_line)(&String::from_utf8_lossy(&self.line));
            self.line.clear();
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = Self::LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        if self.stderr.len() > 2 * Self::STDERR_TAIL {
            self.stderr.drain(..self.stderr.len() - Self::STDERR_TAIL);
        }
    }

    /// The last line, if it has no end, and the end of stderr.
    pub(super) fn finish(mut self) -> String {
        if !self.line.is_empty() {
            (self.on_line)(&String::from_utf8_lossy(&self.line));
        }
        let start = self.stderr.len().saturating_sub(Self::STDERR_TAIL);
        String::from_utf8_lossy(&self.stderr[start..]).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &'static str) -> LogOutput {
        LogOutput::StdOut { message: text.into() }
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        let mut lines = Vec::new();
        let mut output = Output::new(|line: &str| lines.push(line.to_owned()));
        for chunk in ["on", "e\ntwo\n\nth", "ree"] {
            output.take_in(&out(chunk));
        }
        output.take_in(&LogOutput::StdErr { message: "bad\n".into() });
        assert_eq!(output.finish(), "bad");
        assert_eq!(lines, ["one", "two", "", "three"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut longest = 0;
        let mut output = Output::new(|line: &str| longest = line.len());
        for _ in 0..100 {
            output.take_in(&LogOutput::StdOut { message: vec![b'x'; 1000].into() });
            output.take_in(&LogOutput::StdErr { message: vec![b'y'; 1000].into() });
        }
        assert_eq!(output.finish().len(), 4 * 1024);
        assert_eq!(longest, 16 * 1024);
    }
}
