//! Work on many items at once, results in the order of the items, a bounded number of items in memory.

use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use anyhow::Result;

/// Items on the way for each worker: enough that nobody waits for a slow neighbour for long.
const ITEMS_A_WORKER: usize = 4;

/// Draws `items` on a thread of their own, works on them on `threads` others (each with its own state from `start`), and hands the
/// results to `take` on the calling thread in the order of the items.
///
/// # Errors
/// The first error, in the order of the items, of any of the four; the rest of the work is then given up.
pub fn map<T, U, S>(
    threads: usize,
    items: impl Iterator<Item = Result<T>> + Send,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> Result<U> + Sync,
    mut take: impl FnMut(U) -> Result<()>,
) -> Result<()>
where
    T: Send,
    U: Send,
{
    let threads = threads.max(1);
    let on_the_way = threads * ITEMS_A_WORKER;
    let (to_workers, from_reader) = channel::<(usize, T)>();
    let (to_taker, from_workers) = channel::<(usize, Result<U>)>();
    // A ticket lets one item in; it comes back when the item's result has been taken.
    let (give_ticket, tickets) = sync_channel::<()>(on_the_way);
    for _ in 0..on_the_way {
        // The reader has not started and the channel has room for all, so this cannot fail.
        let _ = give_ticket.send(());
    }
    let from_reader = &Mutex::new(from_reader);
    let (start, work) = (&start, &work);
    thread::scope(|scope| {
        // Owned here, so that giving up lets go of the reader, which may be waiting for a ticket.
        let give_ticket = give_ticket;
        let refused = to_taker.clone();
        scope.spawn(move || {
            for (number, item) in items.enumerate() {
                if tickets.recv().is_err() {
                    return;
                }
                match item {
                    // Neither channel has a limit of its own: the tickets are it. Sending fails only when all is given up.
                    Ok(item) => drop(to_workers.send((number, item))),
                    Err(error) => return drop(refused.send((number, Err(error)))),
                }
            }
        });
        for _ in 0..threads {
            let to_taker = to_taker.clone();
            scope.spawn(move || {
                let mut state = start();
                loop {
                    let next = from_reader.lock().map(|items| items.recv());
                    let Ok(Ok((number, item))) = next else { return };
                    if to_taker.send((number, work(&mut state, item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_taker);
        let mut early = std::collections::BTreeMap::new();
        let mut next = 0;
        for (number, result) in from_workers {
            early.insert(number, result);
            while let Some(result) = early.remove(&next) {
                take(result?)?;
                next += 1;
                // Fails when the reader is done and waits for no ticket.
                let _ = give_ticket.send(());
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use anyhow::bail;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for items in [0, 1, 100] {
            let mut taken = Vec::new();
            let slow_first = |(): &mut (), item: u64| {
                thread::sleep(Duration::from_micros(500 - 5 * item));
                Ok(item * item)
            };
            let take = |square| {
                taken.push(square);
                Ok(())
            };
            map(3, (0..items).map(Ok), || (), slow_first, take).unwrap();
            assert_eq!(taken, (0..items).map(|item| item * item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn few_items_are_on_the_way_even_when_the_first_is_slow() {
        let drawn = AtomicUsize::new(0);
        let items = (0..1000).map(|item| {
            drawn.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        });
        let drawn_meanwhile = |(): &mut (), item: usize| {
            if item == 0 {
                thread::sleep(Duration::from_millis(50));
            }
            Ok(if item == 0 { drawn.load(Ordering::SeqCst) } else { 0 })
        };
        let take = |drawn| {
            assert!(drawn <= 2 * ITEMS_A_WORKER + 1, "{drawn} items were drawn while the first was worked on");
            Ok(())
        };
        map(2, items, || (), drawn_meanwhile, take).unwrap();
        assert_eq!(drawn.load(Ordering::SeqCst), 1000);
    }

    #[test]
    fn an_error_anywhere_ends_the_work() {
        let fails = |at: usize, place: usize| move |item: usize| if item == at && place == 0 { bail!("no") } else { Ok(item) };
        for place in 0..3 {
            let items = (0..10_000).map(fails(500, place));
            let work = move |(): &mut (), item| if item == 500 && place == 1 { bail!("no") } else { Ok(item) };
            let take = move |item| if item == 500 && place == 2 { bail!("no") } else { Ok(()) };
            assert_eq!(map(2, items, || (), work, take).unwrap_err().to_string(), "no");
        }
    }
}
