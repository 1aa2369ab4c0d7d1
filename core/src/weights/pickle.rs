//! Python's pickle, read as data: nothing is ever called.
//!
//! A pickle is a program for a stack machine that may ask Python to import and call anything. Here the machine only records what
//! was asked for, and stops at the first global that is not on the caller's list. Values lie in one flat list and refer to each
//! other by number, so nesting costs no stack, cycles do no harm, and the number of instructions bounds all memory.

use std::collections::BTreeMap;

use super::cursor::Cursor;
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
        let mut machine = Machine { input: Cursor(bytes), values: vec![], stack: vec![], marks: vec![], memo: BTreeMap::new() };
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

struct Machine<'a> {
    input: Cursor<'a>,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at every open mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

type Step<T> = std::result::Result<T, String>;

const CUT: &str = "the pickle is cut short";
const EMPTY: &str = "the pickle takes more values than it has made";

impl<'a> Machine<'a> {
    /// Runs one instruction (named as in Python's `pickletools`); returns the result at the end.
    fn step(&mut self, allowed: &[(&str, &str)]) -> Step<Option<Id>> {
        let opcode = self.input.u8().ok_or(CUT)?;
        match opcode {
            b'.' => return Ok(Some(self.pop()?)),                     // STOP
            0x80 => drop(self.input.u8().ok_or(CUT)?),                // PROTO
            0x95 => drop(self.input.u64().ok_or(CUT)?),               // FRAME
            b'(' => self.marks.push(self.stack.len()),                // MARK
            b'0' => drop(self.pop()?),                                // POP
            b'1' => drop(self.pop_mark()?),                           // POP_MARK
            b'2' => self.stack.push(self.top()?),                     // DUP
            b'N' => self.push(Value::None),                           // NONE
            0x88 => self.push(Value::Bool(true)),                     // NEWTRUE
            0x89 => self.push(Value::Bool(false)),                    // NEWFALSE
            b'K' => self.number(|input| input.u8().map(i64::from))?,  // BININT1
            b'M' => self.number(|input| input.u16().map(i64::from))?, // BININT2
            b'J' => self.number(|input| input.array().map(|bytes| i32::from_le_bytes(bytes).into()))?, // BININT
            0x8a => self.long(|input| input.u8().map(u64::from))?,    // LONG1
            0x8b => self.long(|input| input.u32().map(u64::from))?,   // LONG4
            b'G' => {
                // BINFLOAT
                let value = self.input.array().map(f64::from_be_bytes).ok_or(CUT)?;
                self.push(Value::Float(value));
            }
            b'X' | b'T' => self.text(|input| input.u32().map(u64::from))?, // BINUNICODE, BINSTRING
            0x8c | b'U' => self.text(|input| input.u8().map(u64::from))?,  // SHORT_BINUNICODE, SHORT_BINSTRING
            b'B' => self.bytes(|input| input.u32().map(u64::from))?,       // BINBYTES
            b'C' => self.bytes(|input| input.u8().map(u64::from))?,        // SHORT_BINBYTES
            b'c' => {
                // GLOBAL
                let (module, name) = (self.input.line().ok_or(CUT)?, self.input.line().ok_or(CUT)?);
                let (module, name) = (utf8(module)?, utf8(name)?);
                self.push(global(module, name, allowed)?);
            }
            0x93 => {
                // STACK_GLOBAL
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(&Value::Text(module)), Some(&Value::Text(name))) = (self.value(module), self.value(name)) else {
                    return Err("a global's name is not text".into());
                };
                self.push(global(module, name, allowed)?);
            }
            b'}' => self.push(Value::Dict(vec![])),  // EMPTY_DICT
            b']' => self.push(Value::List(vec![])),  // EMPTY_LIST
            b')' => self.push(Value::Tuple(vec![])), // EMPTY_TUPLE
            b't' => {
                // TUPLE
                let parts = self.pop_mark()?;
                self.push(Value::Tuple(parts));
            }
            b'l' => {
                // LIST
                let parts = self.pop_mark()?;
                self.push(Value::List(parts));
            }
            b'd' => {
                // DICT
                let items = pairs(&self.pop_mark()?);
                self.push(Value::Dict(items));
            }
            0x85..=0x87 => {
                // TUPLE1, TUPLE2, TUPLE3
                let count = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or(EMPTY)?;
                let parts = self.stack.split_off(start);
                self.push(Value::Tuple(parts));
            }
            b'a' => {
                // APPEND
                let part = self.pop()?;
                self.append(&[part])?;
            }
            b'e' => {
                // APPENDS
                let parts = self.pop_mark()?;
                self.append(&parts)?;
            }
            b's' => {
                // SETITEM
                let (item, key) = (self.pop()?, self.pop()?);
                self.set(&[(key, item)])?;
            }
            b'u' => {
                // SETITEMS
                let items = pairs(&self.pop_mark()?);
                self.set(&items)?;
            }
            b'R' => {
                // REDUCE
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.push(Value::Call { function, arguments, items: vec![] });
            }
            b'b' => {
                // BUILD: the state is the state dict's `_metadata` (module versions), which nothing here needs.
                self.pop()?;
                let target = self.top()?;
                if !matches!(self.value(target), Some(Value::Call { .. } | Value::Dict(_))) {
                    return Err("state is set on something that is no dictionary".into());
                }
            }
            b'Q' => {
                // BINPERSID
                let description = self.pop()?;
                self.push(Value::Persistent(description));
            }
            b'q' => {
                // BINPUT
                let slot = self.input.u8().ok_or(CUT)?;
                self.memo.insert(slot.into(), self.top()?);
            }
            b'r' => {
                // LONG_BINPUT
                let slot = self.input.u32().ok_or(CUT)?;
                self.memo.insert(slot, self.top()?);
            }
            0x94 => drop(self.memo.insert(self.memo.len() as u32, self.top()?)), // MEMOIZE
            b'h' => {
                // BINGET
                let slot = self.input.u8().ok_or(CUT)?;
                self.recall(slot.into())?;
            }
            b'j' => {
                // LONG_BINGET
                let slot = self.input.u32().ok_or(CUT)?;
                self.recall(slot)?;
            }
            other => return Err(format!("instruction {other:#04x} is not used by state dicts")),
        }
        Ok(None)
    }

    fn push(&mut self, value: Value<'a>) {
        // At most MAX_INSTRUCTIONS values are ever made, one an instruction.
        self.stack.push(Id(self.values.len() as u32));
        self.values.push(value);
    }

    fn value(&self, id: Id) -> Option<&Value<'a>> {
        self.values.get(id.0 as usize)
    }

    fn top(&self) -> Step<Id> {
        Ok(*self.stack.last().ok_or(EMPTY)?)
    }

    fn pop(&mut self) -> Step<Id> {
        Ok(self.stack.pop().ok_or(EMPTY)?)
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let height = self.marks.pop().ok_or("a mark is missing")?;
        if height > self.stack.len() {
            return Err(EMPTY.into());
        }
        Ok(self.stack.split_off(height))
    }

    fn recall(&mut self, slot: u32) -> Step<()> {
        let id = *self.memo.get(&slot).ok_or_else(|| format!("nothing was remembered as number {slot}"))?;
        self.stack.push(id);
        Ok(())
    }

    fn number(&mut self, read: impl Fn(&mut Cursor<'a>) -> Option<i64>) -> Step<()> {
        let value = read(&mut self.input).ok_or(CUT)?;
        self.push(Value::Int(value));
        Ok(())
    }

    fn take(&mut self, length: impl Fn(&mut Cursor<'a>) -> Option<u64>) -> Step<&'a [u8]> {
        let length = length(&mut self.input).ok_or(CUT)?;
        let left = self.input.0.len();
        self.input.take_u64(length).ok_or_else(|| format!("{CUT}: expected {length} bytes more, found {left}"))
    }

    fn long(&mut self, length: impl Fn(&mut Cursor<'a>) -> Option<u64>) -> Step<()> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let value = match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Long(bytes),
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, length: impl Fn(&mut Cursor<'a>) -> Option<u64>) -> Step<()> {
        let text = utf8(self.take(length)?)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn bytes(&mut self, length: impl Fn(&mut Cursor<'a>) -> Option<u64>) -> Step<()> {
        let bytes = self.take(length)?;
        self.push(Value::Bytes(bytes));
        Ok(())
    }

    fn append(&mut self, parts: &[Id]) -> Step<()> {
        let target = self.top()?;
        match self.values.get_mut(target.0 as usize) {
            Some(Value::List(list)) => list.extend_from_slice(parts),
            _ => return Err("something is appended to a value that is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, pairs: &[(Id, Id)]) -> Step<()> {
        let target = self.top()?;
        match self.values.get_mut(target.0 as usize) {
            Some(Value::Dict(items) | Value::Call { items, .. }) => items.extend_from_slice(pairs),
            _ => return Err("an item is set on a value that is no dictionary".into()),
        }
        Ok(())
    }
}

fn pairs(flat: &[Id]) -> Vec<(Id, Id)> {
    flat.as_chunks().0.iter().map(|[key, item]| (*key, *item)).collect()
}

fn utf8(bytes: &[u8]) -> Step<&str> {
    std::str::from_utf8(bytes).map_err(|_| "text is not UTF-8".into())
}

fn global<'a>(module: &'a str, name: &'a str, allowed: &[(&str, &str)]) -> Step<Value<'a>> {
    if allowed.contains(&(module, name)) {
        return Ok(Value::Global(module, name));
    }
    let shown: String = format!("{module}.{name}").chars().take(80).collect();
    Err(format!(
        "the file asks Python for {shown:?}, which weights do not need and which could run any program; nothing was run. \
         Save the model's state_dict() alone, best as safetensors"
    ))
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
