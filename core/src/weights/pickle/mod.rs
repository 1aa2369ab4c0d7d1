//! Python's pickle, read as data: nothing is ever called.
//!
//! A pickle is a program for a stack machine that may ask Python to import and call anything. Here the machine only records what
//! was asked for, and stops at the first global that is not on the caller's list. Values lie in one flat list and refer to each
//! other by number, so nesting costs no stack, cycles do no harm, and the number of instructions bounds all memory.

mod machine;
mod opcode;

use machine::Machine;

use crate::{Error, Result};

/// Most instructions of one pickle; a state dict has about 40 a tensor.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// Number of a value in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

/// A value, with its parts by number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A number of more than 8 bytes, two's complement, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Module and name.
    Global(&'a str, &'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What would have been the result of a call, with the items that were set on it afterwards.
    Call {
        function: Id,
        arguments: Id,
        items: Vec<(Id, Id)>,
    },
    /// Something outside the pickle, by its description.
    Persistent(Id),
}

/// A whole pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle from the front of `bytes`; also returns what follows it. `allowed` lists (module, name).
    pub fn read(bytes: &'a [u8], allowed: &[(&str, &str)]) -> Result<(Self, &'a [u8])> {
        let mut machine = Machine::new(bytes);
        for _ in 0..MAX_INSTRUCTIONS {
            let at = bytes.len() - machine.input.0.len();
            let step = machine.step(allowed).map_err(|reason| Error::Weights(format!("pickle: byte {at}: {reason}")))?;
            if let Some(root) = step {
                return Ok((Self { values: machine.values, root }, machine.input.0));
            }
        }
        Err(Error::Weights(format!("pickle: more than {MAX_INSTRUCTIONS} instructions; this is no state dict of a model")))
    }

    pub fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// The value of a number; every [`Id`] of this pickle has one.
    pub fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id.0 as usize).unwrap_or(&Value::None)
    }

    /// The parts of a tuple or list.
    pub fn sequence(&self, value: &Value<'a>) -> Option<Vec<&Value<'a>>> {
        match value {
            Value::Tuple(parts) | Value::List(parts) => Some(parts.iter().map(|part| self.get(*part)).collect()),
            _ => None,
        }
    }

    /// The pairs of a dictionary, or of a call that builds one: items set afterwards, or a list of pairs as the only argument.
    pub fn pairs(&self, value: &Value<'a>) -> Option<Vec<(&Value<'a>, &Value<'a>)>> {
        let resolve = |items: &[(Id, Id)]| items.iter().map(|(key, item)| (self.get(*key), self.get(*item))).collect();
        match value {
            Value::Dict(items) => Some(resolve(items)),
            Value::Call { arguments, items, .. } => {
                let mut pairs: Vec<_> = resolve(items);
                // Python 2 gave OrderedDict its pairs as an argument.
                if let Some([list]) = self.sequence(self.get(*arguments)).as_deref() {
                    for pair in self.sequence(list)? {
                        let &[key, item] = self.sequence(pair)?.as_slice() else { return None };
                        pairs.push((key, item));
                    }
                }
                Some(pairs)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDERED: &[(&str, &str)] = &[("collections", "OrderedDict")];

    fn error(bytes: &[u8]) -> String {
        Pickle::read(bytes, ORDERED).unwrap_err().to_string()
    }

    #[test]
    fn values_of_a_state_dict_are_read() {
        // pickle.dumps(OrderedDict(a=(1, -2, 70000, None, True), b=[1.5, 'é']), 2) and a byte behind it
        let bytes = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00aq\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00N\x88tq\x03\
            X\x01\x00\x00\x00bq\x04]q\x05(G?\xf8\x00\x00\x00\x00\x00\x00X\x02\x00\x00\x00\xc3\xa9q\x06eu.!";
        let (pickle, rest) = Pickle::read(bytes, ORDERED).unwrap();
        assert_eq!(rest, b"!");
        let pairs = pickle.pairs(pickle.root()).unwrap();
        assert_eq!(pairs.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [&Value::Text("a"), &Value::Text("b")]);
        let first = pickle.sequence(pairs[0].1).unwrap();
        assert_eq!(first, [&Value::Int(1), &Value::Int(-2), &Value::Int(70_000), &Value::None, &Value::Bool(true)]);
        assert_eq!(pickle.sequence(pairs[1].1).unwrap(), [&Value::Float(1.5), &Value::Text("é")]);
    }

    #[test]
    fn pairs_given_as_an_argument_are_read() {
        let bytes = b"ccollections\nOrderedDict\n(((X\x01\x00\x00\x00aK\x01lltR.";
        let (pickle, _) = Pickle::read(bytes, ORDERED).unwrap();
        assert_eq!(pickle.pairs(pickle.root()).unwrap(), [(&Value::Text("a"), &Value::Int(1))]);
    }

    #[test]
    fn any_other_global_is_named_and_refused() {
        for bytes in [
            &b"cos\nsystem\n(X\x02\x00\x00\x00lstR."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
            b"cbuiltins\neval\n.",
            b"ccollections\nOrderedDict.fromkeys\n.",
        ] {
            let message = error(bytes);
            assert!(message.contains("asks Python for") && message.contains("nothing was run"), "{message}");
        }
        assert!(error(b"cos\nsystem\n.").contains("\"os.system\""));
    }

    #[test]
    fn hostile_programs_are_errors() {
        for (bytes, expected) in [
            (&b"X\xff\xff\xff\xffab"[..], "expected 4294967295 bytes more, found 2"),
            (b"\x8b\xff\xff\xff\xff", "cut short"),
            (b"j\xff\xff\xff\xff.", "remembered as number 4294967295"),
            (b"0", "more values than it has made"),
            (b"\x87", "more values than it has made"),
            (b"t", "a mark is missing"),
            (b"N(0t", "more values than it has made"),
            (b"NNa", "no list"),
            (b"NNNs", "no dictionary"),
            (b"NNb", "no dictionary"),
            (b"i", "instruction 0x69"),
            (b"", "cut short"),
        ] {
            let message = error(bytes);
            assert!(message.contains(expected), "{bytes:?}: {message}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        // A tuple in a tuple in a tuple …: dropped without recursion.
        let mut deep = b"N".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 500_000));
        deep.push(b'.');
        assert!(Pickle::read(&deep, ORDERED).is_ok());
        // A list that holds itself.
        assert!(Pickle::read(b"]q\x00h\x00a.", ORDERED).is_ok());
        assert!(error(&vec![b'N'; 3 << 20]).contains("more than 1048576 instructions"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Pickle::read(&bytes, ORDERED);
        }

        #[test]
        fn any_program_is_a_result(bytes in proptest::collection::vec(proptest::sample::select(&b"(.012N\x88K\x01M]})tld\x85\x86aesuRbQq\x00h\x00\x94"[..]), 0..60)) {
            if let Ok((pickle, _)) = Pickle::read(&bytes, ORDERED) {
                let _ = (pickle.pairs(pickle.root()), pickle.sequence(pickle.root()));
            }
        }
    }
}
