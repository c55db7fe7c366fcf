//! The stacks of simulated hosts.

use std::collections::HashMap;
use std::sync::Arc;

use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;

/// The sites of each stack, innermost first. A star behind a site marks the one that is to name the stack; without a
/// star it is the innermost.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By number, from 1 on.
    pub stacks: Vec<Vec<String>>,
    numbers: HashMap<String, u32>,
}

impl Names {
    /// The stack `main <- outer <- ... <- innermost`, written "innermost < outer".
    pub fn stack(&mut self, sites: &str) -> StackId {
        if let Some(&number) = self.numbers.get(sites) {
            return StackId(number);
        }
        self.stacks
            .push(sites.split(" < ").map(str::to_owned).collect());
        let number = self.stacks.len() as u32;
        self.numbers.insert(sites.to_owned(), number);
        StackId(number)
    }

    /// The site that is to name a stack.
    #[must_use]
    pub fn naming(&self, stack: StackId) -> &str {
        let sites = &self.stacks[stack.0 as usize - 1];
        let marked = sites.iter().find(|site| site.ends_with('*'));
        marked.unwrap_or(&sites[0])
    }
}

fn frame(function: &str, line: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from("/opt/host/host"),
        offset: 0x1000,
        file: Some(Arc::from("host.cpp")),
        line,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

impl StackNames for Names {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        let Some(sites) = (stack.0 as usize)
            .checked_sub(1)
            .and_then(|index| self.stacks.get(index))
        else {
            return Arc::from([]);
        };
        let mut frames = vec![
            frame("wf_deallocate", 1),
            frame("std::_Sp_counted_base::_M_release", 2),
        ];
        frames.extend(sites.iter().map(|site| frame(site, 10)));
        frames.push(frame("main", 99));
        frames.into()
    }
}
