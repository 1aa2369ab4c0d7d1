//! What can be measured of a machine: a GPU by its own clock, the CPU by the wall's.

use std::time::Instant;

use anyhow::{Context, Result};
use clinicalbert_core::bert::{
    Backend, Batch, Candle, Config, Freeze, Linear, MaskedSlots, Nonlinearity, Trainer, UpdateSettings, initialize,
};

use crate::cuda;
use crate::machine::peak_memory;
use crate::train::{
    device::{Choice, choice, open_gpu},
    settings::Precision,
};

/// Rows and columns of the large product on the CPU, and how often it is computed.
const LARGE: usize = 1024;
const REPEATED: usize = 5;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// As `--device` of training.
    pub device: &'a str,
    /// What a GPU computes in.
    pub precision: Precision,
    /// Shape of the model.
    pub config: &'a Config,
}

/// A new model on a machine.
pub enum Machine {
    /// The processor.
    Cpu {
        /// The model.
        trainer: Box<Trainer>,
        /// When updates began.
        boundaries: Vec<Instant>,
        /// Loss of the last update.
        loss: f64,
    },
    /// A GPU.
    Cuda(Box<cuda::Trainer>),
}

impl Machine {
    /// Puts a new model on the machine.
    ///
    /// # Errors
    /// No such machine, or not enough memory.
    pub fn open(wanted: &Wanted<'_>) -> Result<Self> {
        let Wanted { device, precision, config } = *wanted;
        let (weights, settings, seed) = (initialize(config, 1), UpdateSettings::default(), 1);
        Ok(match choice(device)? {
            Choice::Cuda(number) => {
                let trainer = open_gpu(number, precision, config, &weights, (settings, seed), &Freeze::default())?;
                Self::Cuda(Box::new(trainer))
            }
            Choice::Auto | Choice::Cpu => {
                let trainer = Box::new(Trainer::new(config, &weights, settings, seed)?);
                Self::Cpu { trainer, boundaries: Vec::new(), loss: f64::NAN }
            }
        })
    }

    /// Begins an update.
    ///
    /// # Errors
    /// A failing machine.
    pub fn begin(&mut self, batch: &(Batch, MaskedSlots), step: u64, rate: f32) -> Result<()> {
        let batch = std::slice::from_ref(batch);
        match self {
            Self::Cpu { trainer, loss, .. } => *loss = trainer.step(batch, step, rate)?.loss,
            Self::Cuda(trainer) => trainer.begin(batch, step, rate)?,
        }
        Ok(())
    }

    /// Notes a boundary between updates.
    ///
    /// # Errors
    /// A failing machine.
    pub fn boundary(&mut self) -> Result<()> {
        match self {
            Self::Cpu { boundaries, .. } => boundaries.push(Instant::now()),
            Self::Cuda(trainer) => trainer.machine().boundary()?,
        }
        Ok(())
    }

    /// Milliseconds between the boundaries since the last call, when the updates between them are done.
    ///
    /// # Errors
    /// A failing machine.
    pub fn intervals(&mut self) -> Result<Vec<f64>> {
        match self {
            Self::Cpu { boundaries, .. } => {
                let boundaries = std::mem::take(boundaries);
                let pairs = boundaries.iter().zip(boundaries.iter().skip(1));
                Ok(pairs.map(|(from, to)| (*to - *from).as_secs_f64() * 1000.0).collect())
            }
            Self::Cuda(trainer) => trainer.machine().intervals(),
        }
    }

    /// Loss of the last update.
    ///
    /// # Errors
    /// A failing machine.
    pub fn loss(&mut self) -> Result<f64> {
        match self {
            Self::Cpu { loss, .. } => Ok(*loss),
            Self::Cuda(trainer) => Ok(trainer.reports()?.pop().context("an update has a report")?.loss),
        }
    }

    /// Bytes of memory: the most that the process has had, or what is in use of the GPU's.
    ///
    /// # Errors
    /// A failing machine.
    pub fn memory(&mut self) -> Result<u64> {
        match self {
            Self::Cpu { .. } => Ok(peak_memory().unwrap_or_default()),
            Self::Cuda(trainer) => Ok(trainer.machine().memory_in_use()? as u64),
        }
    }

    /// Takes the times of an update's parts from now on; false where they are not known.
    ///
    /// # Errors
    /// A failing machine.
    pub fn time_parts(&mut self) -> Result<bool> {
        match self {
            Self::Cpu { .. } => Ok(false),
            Self::Cuda(trainer) => trainer.time_parts().map(|()| true),
        }
    }

    /// Milliseconds of the last update's forward pass, backward pass and optimizer.
    ///
    /// # Errors
    /// A failing machine, or one that does not tell.
    pub fn part_times(&self) -> Result<[f64; 3]> {
        match self {
            Self::Cpu { .. } => Err(anyhow::anyhow!("the CPU's updates have no parts")),
            Self::Cuda(trainer) => trainer.part_times(),
        }
    }

    /// What a large product in the same precision reaches, in 10¹² operations a second.
    ///
    /// # Errors
    /// A failing machine.
    pub fn ceiling(&mut self) -> Result<f64> {
        match self {
            Self::Cpu { .. } => cpu_ceiling(),
            Self::Cuda(trainer) => cuda::ceiling(trainer.machine()),
        }
    }
}

fn cpu_ceiling() -> Result<f64> {
    let backend = Candle::default();
    let mut random = fastrand::Rng::with_seed(1);
    let mut matrix = || {
        let values: Vec<f32> = (0..LARGE * LARGE).map(|_| random.f32() - 0.5).collect();
        backend.upload_values(&values, &[LARGE, LARGE])
    };
    let (x, weight) = (matrix()?, matrix()?);
    let layer = Linear { weight, bias: backend.upload_values(&[0.0; LARGE], &[LARGE])? };
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATED {
        let began = Instant::now();
        backend.linear(&x, &layer, Nonlinearity::Identity)?;
        fastest = fastest.min(began.elapsed().as_secs_f64());
    }
    Ok(2.0 * (LARGE as f64).powi(3) / fastest / 1e12)
}
