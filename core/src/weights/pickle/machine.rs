//! The machine that a pickle is a program for: a stack, marks on it, and a memory.

use std::collections::BTreeMap;

use super::{Id, Value, opcode::*};
use crate::weights::cursor::Cursor;

/// The stack machine: what it still has to read, and what it has made.
pub struct Machine<'a> {
    pub input: Cursor<'a>,
    pub values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at every open mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

type Step<T> = std::result::Result<T, String>;

const CUT: &str = "the pickle is cut short";
const EMPTY: &str = "the pickle takes more values than it has made";

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { input: Cursor(bytes), values: vec![], stack: vec![], marks: vec![], memo: BTreeMap::new() }
    }

    /// Runs one instruction; returns the result at the end.
    pub fn step(&mut self, allowed: &[(&str, &str)]) -> Step<Option<Id>> {
        let opcode = self.input.u8().ok_or(CUT)?;
        match opcode {
            STOP => return Ok(Some(self.pop()?)),
            PROTO => drop(self.input.u8().ok_or(CUT)?),
            FRAME => drop(self.input.u64().ok_or(CUT)?),
            MARK => self.marks.push(self.stack.len()),
            POP => drop(self.pop()?),
            POP_MARK => drop(self.pop_mark()?),
            DUP => self.stack.push(self.top()?),
            GLOBAL | STACK_GLOBAL => {
                let (module, name) = if opcode == GLOBAL { self.two_lines()? } else { self.two_texts()? };
                self.push(global(module, name, allowed)?);
            }
            EMPTY_DICT | EMPTY_LIST | EMPTY_TUPLE | TUPLE | LIST | DICT | TUPLE1 | TUPLE2 | TUPLE3 => self.collection(opcode)?,
            APPEND | APPENDS | SETITEM | SETITEMS | REDUCE | BUILD | BINPERSID => self.change(opcode)?,
            BINPUT | LONG_BINPUT | MEMOIZE | BINGET | LONG_BINGET => self.memory(opcode)?,
            _ => {
                let value = self.scalar(opcode)?;
                self.push(value);
            }
        }
        Ok(None)
    }

    /// A value without parts.
    fn scalar(&mut self, opcode: u8) -> Step<Value<'a>> {
        let input = &mut self.input;
        Ok(match opcode {
            NONE => Value::None,
            NEWTRUE => Value::Bool(true),
            NEWFALSE => Value::Bool(false),
            BININT1 => Value::Int(input.u8().ok_or(CUT)?.into()),
            BININT2 => Value::Int(input.u16().ok_or(CUT)?.into()),
            BININT => Value::Int(input.array().map(i32::from_le_bytes).ok_or(CUT)?.into()),
            LONG1 | LONG4 => long(self.counted(opcode == LONG1)?),
            BINFLOAT => Value::Float(input.array().map(f64::from_be_bytes).ok_or(CUT)?),
            BINUNICODE | BINSTRING => Value::Text(utf8(self.counted(false)?)?),
            SHORT_BINUNICODE | SHORT_BINSTRING => Value::Text(utf8(self.counted(true)?)?),
            BINBYTES | SHORT_BINBYTES => Value::Bytes(self.counted(opcode == SHORT_BINBYTES)?),
            other => return Err(format!("instruction {other:#04x} is not used by state dicts")),
        })
    }

    /// A tuple, list or dictionary.
    fn collection(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            EMPTY_DICT => Value::Dict(vec![]),
            EMPTY_LIST => Value::List(vec![]),
            TUPLE => Value::Tuple(self.pop_mark()?),
            LIST => Value::List(self.pop_mark()?),
            DICT => Value::Dict(pairs(&self.pop_mark()?)),
            TUPLE1 => Value::Tuple(self.pop_last(1)?),
            TUPLE2 => Value::Tuple(self.pop_last(2)?),
            TUPLE3 => Value::Tuple(self.pop_last(3)?),
            _ => Value::Tuple(vec![]),
        };
        self.push(value);
        Ok(())
    }

    /// What is done to values that are there already.
    fn change(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            APPEND => {
                let part = self.pop()?;
                self.append(&[part])?;
            }
            APPENDS => {
                let parts = self.pop_mark()?;
                self.append(&parts)?;
            }
            SETITEM => {
                let (item, key) = (self.pop()?, self.pop()?);
                self.set(&[(key, item)])?;
            }
            SETITEMS => {
                let items = pairs(&self.pop_mark()?);
                self.set(&items)?;
            }
            REDUCE => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.push(Value::Call { function, arguments, items: vec![] });
            }
            BINPERSID => {
                let description = self.pop()?;
                self.push(Value::Persistent(description));
            }
            // BUILD sets a state dict's `_metadata` (module versions), which nothing here needs.
            _ => {
                self.pop()?;
                let target = self.top()?;
                if !matches!(self.value(target), Some(Value::Call { .. } | Value::Dict(_))) {
                    return Err("state is set on something that is no dictionary".into());
                }
            }
        }
        Ok(())
    }

    /// Remembers the top of the stack, or puts something remembered there.
    fn memory(&mut self, opcode: u8) -> Step<()> {
        let slot = match opcode {
            MEMOIZE => self.memo.len() as u32,
            BINPUT | BINGET => self.input.u8().ok_or(CUT)?.into(),
            _ => self.input.u32().ok_or(CUT)?,
        };
        if let BINGET | LONG_BINGET = opcode {
            let id = *self.memo.get(&slot).ok_or_else(|| format!("nothing was remembered as number {slot}"))?;
            self.stack.push(id);
        } else {
            self.memo.insert(slot, self.top()?);
        }
        Ok(())
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

    fn pop_last(&mut self, count: usize) -> Step<Vec<Id>> {
        let start = self.stack.len().checked_sub(count).ok_or(EMPTY)?;
        Ok(self.stack.split_off(start))
    }

    /// Bytes behind their number, which is of one byte or of four.
    fn counted(&mut self, short: bool) -> Step<&'a [u8]> {
        let length = if short { self.input.u8().map(u64::from) } else { self.input.u32().map(u64::from) }.ok_or(CUT)?;
        let left = self.input.0.len();
        self.input.take_u64(length).ok_or_else(|| format!("{CUT}: expected {length} bytes more, found {left}"))
    }

    fn two_lines(&mut self) -> Step<(&'a str, &'a str)> {
        let (first, second) = (self.input.line().ok_or(CUT)?, self.input.line().ok_or(CUT)?);
        Ok((utf8(first)?, utf8(second)?))
    }

    fn two_texts(&mut self) -> Step<(&'a str, &'a str)> {
        let (second, first) = (self.pop()?, self.pop()?);
        match (self.value(first), self.value(second)) {
            (Some(Value::Text(first)), Some(Value::Text(second))) => Ok((first, second)),
            _ => Err("a global's name is not text".into()),
        }
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

/// A whole number in two's complement, little-endian.
fn long(bytes: &[u8]) -> Value<'_> {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::Long(bytes),
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
