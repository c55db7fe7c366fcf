//! A C++ name without what stands between `<` and `>`, for names that the full demangler cannot read.
//!
//! Constraints (`requires`) and named template parameters of C++20 have manglings that `cpp_demangle` does not
//! know; in a library that uses concepts every tenth name is one of them. The path of such a name is plain
//! text, and only the template arguments have to be stepped over: `ttsl::reflection::operator<< <...>`.
//!
//! The rules are those of the Itanium C++ ABI, section 5.1.

mod expressions;
mod types;

/// The path that `mangled` names, or `None` where it is no function or the rules do not fit.
pub(crate) fn abridged(mangled: &str) -> Option<String> {
    let rest = mangled.strip_prefix("_Z")?;
    // Tables, guards and thunks are not functions that somebody wrote.
    if rest.starts_with(['T', 'G']) {
        return None;
    }
    let mut walk = Walk {
        bytes: rest.as_bytes(),
        at: 0,
        steps: 0,
        depth: 0,
        silent: 0,
        text: String::new(),
        last: String::new(),
    };
    walk.name()?;
    (!walk.text.is_empty()).then_some(walk.text)
}

/// How deep constructs may nest.
const DEEPEST: u32 = 100;

/// How many constructs are looked at; one kind of name has to be tried in two ways.
const MOST_STEPS: u32 = 50_000;

const TEMPLATE_ARGUMENTS: &str = "<...>";

/// A walk over a mangled name. Every method steps over one construct, or returns `None` and stays anywhere.
struct Walk<'name> {
    bytes: &'name [u8],
    at: usize,
    steps: u32,
    depth: u32,
    /// Above zero nothing is written down.
    silent: u32,
    text: String,
    /// The last plain name: what a constructor repeats.
    last: String,
}

impl Walk<'_> {
    fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next_is(&mut self, expected: &[u8]) -> bool {
        let is = self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(expected));
        if is {
            self.at += expected.len();
        }
        is
    }

    fn expect(&mut self, expected: &[u8]) -> Option<()> {
        self.next_is(expected).then_some(())
    }

    fn skip_while(&mut self, belongs: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && belongs(self.peek()) {
            self.at += 1;
        }
    }

    /// Runs `step` one level deeper, within the bounds.
    fn deeper(&mut self, step: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.steps += 1;
        if self.depth >= DEEPEST || self.steps >= MOST_STEPS {
            return None;
        }
        self.depth += 1;
        let done = step(self);
        self.depth -= 1;
        done
    }

    fn silently(&mut self, step: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.silent += 1;
        let done = step(self);
        self.silent -= 1;
        done
    }

    /// `step` again and again, up to and including the `E` that ends a list.
    fn until_end(&mut self, step: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        while !self.next_is(b"E") {
            step(self)?;
        }
        Some(())
    }

    fn component(&mut self, text: &str) {
        if self.silent == 0 {
            if !self.text.is_empty() {
                self.text.push_str("::");
            }
            self.text.push_str(text);
        }
    }

    fn remember(&mut self, name: &str) {
        if self.silent == 0 {
            name.clone_into(&mut self.last);
        }
    }

    fn attach(&mut self, text: &str) {
        if self.silent == 0 {
            self.text.push_str(text);
        }
    }

    /// What cannot be told from the name's own letters, such as a repetition of something earlier.
    fn untold(&self) -> Option<()> {
        (self.silent > 0).then_some(())
    }

    fn name(&mut self) -> Option<()> {
        self.deeper(|walk| match walk.peek() {
            b'N' => {
                walk.at += 1;
                walk.next_is(b"H");
                walk.skip_while(|byte| matches!(byte, b'r' | b'V' | b'K'));
                walk.skip_while(|byte| matches!(byte, b'R' | b'O'));
                walk.until_end(Self::part)
            }
            b'Z' => walk.local(),
            _ => {
                if walk.peek() == b'S' {
                    let std = walk.peek_at(1) == b't';
                    walk.part()?;
                    if std {
                        walk.part()?;
                    }
                } else {
                    walk.part()?;
                }
                while matches!(walk.peek(), b'I' | b'B') {
                    walk.part()?;
                }
                Some(())
            }
        })
    }

    /// A function or type inside of a function.
    fn local(&mut self) -> Option<()> {
        self.expect(b"Z")?;
        self.name()?;
        self.silently(|walk| walk.signature())?;
        if self.next_is(b"s") {
            // A string; it is no function.
            return self.untold().map(|()| self.discriminator());
        }
        if self.next_is(b"d") {
            self.skip_while(|byte| byte.is_ascii_digit());
            self.expect(b"_")?;
        }
        self.name()?;
        self.discriminator();
        Some(())
    }

    fn discriminator(&mut self) {
        if self.peek() == b'_' && (self.peek_at(1) == b'_' || self.peek_at(1).is_ascii_digit()) {
            self.skip_while(|byte| byte == b'_');
            self.skip_while(|byte| byte.is_ascii_digit());
            self.next_is(b"_");
        }
    }

    /// The types of a function up to and including the `E` behind them. Those of a closure come after the
    /// template parameters that it declares.
    fn signature(&mut self) -> Option<()> {
        self.until_end(|walk| match (walk.peek(), walk.peek_at(1)) {
            (b'Q', _) => {
                walk.at += 1;
                walk.expression()
            }
            (b'T', b'y' | b'n' | b't' | b'p' | b'k') => walk.parameter_declaration(),
            _ => walk.ty(),
        })
    }

    /// One part of a path, between two `::`, or what is attached to it.
    fn part(&mut self) -> Option<()> {
        self.next_is(b"L");
        match (self.peek(), self.peek_at(1)) {
            (b'S', letter) => {
                let known = match letter {
                    b't' => "std",
                    b'a' => "std::allocator",
                    b'b' => "std::basic_string",
                    b's' => "std::string",
                    b'i' => "std::istream",
                    b'o' => "std::ostream",
                    b'd' => "std::iostream",
                    _ => {
                        self.untold()?;
                        return self.substitution();
                    }
                };
                self.at += 2;
                self.component(known);
                self.remember(known.rsplit("::").next().unwrap_or(known));
            }
            (b'I', _) => {
                self.silently(|walk| walk.template_arguments())?;
                // `operator<< <...>`, as compilers write it.
                if self.text.ends_with('<') {
                    self.attach(" ");
                }
                self.attach(TEMPLATE_ARGUMENTS);
            }
            (b'T', _) => {
                self.untold()?;
                self.template_parameter()?;
            }
            (b'D', b't' | b'T') => {
                self.untold()?;
                self.ty()?;
            }
            (b'D', digit) if digit.is_ascii_digit() => {
                self.at += 2;
                let name = format!("~{}", self.last);
                self.component(&name);
            }
            (b'C', b'I') => {
                self.at += 3;
                let name = self.last.clone();
                self.component(&name);
                self.silently(|walk| walk.ty())?;
            }
            (b'C', digit) if digit.is_ascii_digit() => {
                self.at += 2;
                let name = self.last.clone();
                self.component(&name);
            }
            (b'B', _) => {
                self.at += 1;
                let tag = self.source_name()?;
                self.attach(&format!("[abi:{tag}]"));
            }
            (b'M' | b'F', _) => self.at += 1,
            (b'U', b'l') => {
                self.at += 2;
                self.silently(|walk| walk.signature())?;
                let number = self.closing_number()?;
                self.component(&format!("{{lambda#{number}}}"));
            }
            (b'U', b't') => {
                self.at += 2;
                let number = self.closing_number()?;
                self.component(&format!("{{unnamed type#{number}}}"));
            }
            (digit, _) if digit.is_ascii_digit() => {
                let name = self.source_name()?;
                if name.starts_with("_GLOBAL__N") {
                    self.component("(anonymous namespace)");
                } else {
                    self.component(&name);
                    self.remember(&name);
                }
            }
            _ => self.operator_name()?,
        }
        Some(())
    }

    /// `_` is the first, `0_` the second, and so on.
    fn closing_number(&mut self) -> Option<u64> {
        let number = if self.peek().is_ascii_digit() {
            self.number()?.checked_add(2)?
        } else {
            1
        };
        self.expect(b"_")?;
        Some(number)
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_digit());
        std::str::from_utf8(self.bytes.get(start..self.at)?)
            .ok()?
            .parse()
            .ok()
    }

    fn source_name(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let name = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    fn operator_name(&mut self) -> Option<()> {
        if self.next_is(b"li") {
            let suffix = self.source_name()?;
            self.component(&format!("operator\"\" {suffix}"));
            return Some(());
        }
        if self.next_is(b"cv") {
            self.component("operator (...)");
            return self.silently(|walk| walk.ty());
        }
        let (_, text, _) = self.operator()?;
        self.component(&format!("operator{text}"));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::abridged;

    #[test]
    fn names_of_cpp20() {
        for (mangled, expected) in [
            // A constraint behind the template arguments.
            (
                "_ZN2tt8tt_metal11distributed14extract_localsISt6vectorINS1_11MaybeRemoteIiEESaIS5_EEQ15MaybeRemoteLikeINT_10value_typeEEEEDaRKS8_",
                "tt::tt_metal::distributed::extract_locals<...>",
            ),
            (
                "_ZSt12construct_atIN7CaDiCaL12proof_clauseEJRKS1_EQaant20is_unbounded_array_vIT_ErqXgsnwcvPvLi0E_S4_pispclsr3stdE7declvalIT0_EEEEEPS4_S7_DpOS6_",
                "std::construct_at<...>",
            ),
            (
                "_ZN4ttsl10reflectionlsIN2tt8tt_metal12FaceGeometryEQaasr4ttsl8conceptsE11ReflectableIT_Entoosr3stdE8integralIS5_Esr3stdE10is_array_vIS5_EEERSoS6_RKS5_",
                "ttsl::reflection::operator<< <...>",
            ),
            // A declared parameter, in a constructor.
            (
                "_ZN2tt8tt_metal13DeviceCommandILb0EEC1ILb0ETnNSt9enable_ifIXntT_EiE4typeELi0EEERNS0_12MetalContextEj",
                "tt::tt_metal::DeviceCommand<...>::DeviceCommand<...>",
            ),
            // A constrained parameter.
            (
                "_ZN4ttnn16device_operation6detail6launchITkNS0_22DeviceOperationConceptENS_12experimental4prim27ConvertToHWCDeviceOperationEEENT_21tensor_return_value_tERKNS6_22operation_attributes_tERKNS6_13tensor_args_tE",
                "ttnn::device_operation::detail::launch<...>",
            ),
        ] {
            assert_eq!(abridged(mangled).as_deref(), Some(expected), "{mangled}");
            assert_eq!(crate::demangle::readable(mangled), expected);
        }
    }

    #[test]
    fn names_that_the_full_demangler_knows_too() {
        for (mangled, expected) in [
            ("_ZN12ProgramCache5evictEm", "ProgramCache::evict"),
            ("_Z4freePv", "free"),
            ("_ZN6WidgetD2Ev", "Widget::~Widget"),
            ("_ZN3BoxI5InnerED0Ev", "Box<...>::~Box"),
            ("_ZNKSt6vectorIiSaIiEE4sizeEv", "std::vector<...>::size"),
            ("_ZNSs6appendEPKc", "std::string::append"),
            ("_ZN1AixEm", "A::operator[]"),
            ("_ZNK1AcviEv", "A::operator (...)"),
            ("_Zli2_mPKcm", "operator\"\" _m"),
            (
                "_ZN12_GLOBAL__N_16hiddenEi",
                "(anonymous namespace)::hidden",
            ),
            ("_ZZ4mainENKUlvE_clEv", "main::{lambda#1}::operator()"),
            (
                "_ZZN1A3runEiENUlT_E0_clIiEEDaS0_",
                "A::run::{lambda#2}::operator()<...>",
            ),
            (
                "_ZZ1fvENKUlTpTnmSt16integer_sequenceImJXspT_EEEE_clIJLm0EEEEDaS_",
                "f::{lambda#1}::operator()<...>",
            ),
            (
                "_ZZ1fvENKUlTyvE_clIiEEDav",
                "f::{lambda#1}::operator()<...>",
            ),
            ("_Z3barB5cxx11v", "bar[abi:cxx11]"),
            ("_ZZ4mainE5count", "main::count"),
            ("_Z1fIXplT_Li1EEEvv", "f<...>"),
            ("_Z1fIiEDTcl1gfp_EET_", "f<...>"),
            ("_Z1fIXadL_Z1gvEEEvv", "f<...>"),
            ("_Z1fIPFvRKiEM1AKFivREEvv", "f<...>"),
            ("_Z1fIiXsr7is_sameIT_iE5valueEEvv", "f<...>"),
        ] {
            assert_eq!(abridged(mangled).as_deref(), Some(expected), "{mangled}");
        }
    }

    #[test]
    fn what_is_no_function_or_no_name_is_left_alone() {
        for mangled in [
            "main",
            "_Z",
            "_ZN",
            "_ZTV1A",
            "_ZGVZ4mainE1a",
            "_ZN1AC",
            "_ZNCI",
            "_ZS",
            "_ZS_",
            "_Z99a",
            "_ZNS_1aE",
            "_ZN1aI",
            "_Z1fIX",
            "_Z1fIXL",
            "_Z1fILi",
            "_ZZ",
            "_ZZ4mainEs",
            "_Z18446744073709551615a",
            "_ZU",
            "_ZD",
        ] {
            assert_eq!(abridged(mangled), None, "{mangled}");
        }
    }
}
