//! What the values of a metric mean: which are better, and in what unit.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use arrow_array::RecordBatch;
use sndpipe_engine::{StageError, did_you_mean};

use crate::columns;

/// Which of two values of a metric is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    Higher,
    /// The smaller one.
    Lower,
}

impl Better {
    const NAMES: [(&'static str, Self); 2] = [("higher", Self::Higher), ("lower", Self::Lower)];
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Higher { "higher" } else { "lower" })
    }
}

impl FromStr for Better {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, better)| *better);
        found.ok_or_else(|| {
            let near = did_you_mean(text, Self::NAMES.iter().map(|(name, _)| *name));
            format!("`{text}` is neither `higher` nor `lower`{near}")
        })
    }
}

/// The unit of a share of a whole, from 0 to 1: shown as a percentage.
pub const FRACTION: &str = "fraction";

/// What the values of a metric mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scale {
    /// Which values are better; `None` where that was not said, so that nothing can be called better or worse.
    pub better: Option<Better>,
    /// The unit, such as [`FRACTION`], `epochs` or `dB`; `None` for numbers without one.
    pub unit: Option<Cow<'static, str>>,
}

impl Scale {
    /// A share of a whole, the larger the better.
    pub const FRACTION: Self = Self { better: Some(Better::Higher), unit: Some(Cow::Borrowed(FRACTION)) };

    /// A number without a unit, the larger the better.
    pub const RISING: Self = Self { better: Some(Better::Higher), unit: None };

    /// A number without a unit, the smaller the better.
    pub const FALLING: Self = Self { better: Some(Better::Lower), unit: None };

    /// A number of epochs, the fewer the better.
    pub const EPOCHS: Self = Self { better: Some(Better::Lower), unit: Some(Cow::Borrowed("epochs")) };

    /// The scale of a metric of common name; for tables that do not say it. Unknown names have none.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        match name {
            "accuracy"
            | "balanced_accuracy"
            | "precision"
            | "recall"
            | "f1"
            | "mAP"
            | "mAP@3"
            | "AUC"
            | "lwlrap"
            | "average_precision"
            | "patch_accuracy"
            | "knn_accuracy"
            | "knn_balanced_accuracy" => Self::FRACTION,
            "dprime" => Self::RISING,
            "loss" | "contrastive" | "instance" | "triplet" | "coincidence" => Self::FALLING,
            _ => Self::default(),
        }
    }

    /// Whether values are shares of a whole.
    #[must_use]
    pub fn is_fraction(&self) -> bool {
        self.unit.as_deref() == Some(FRACTION)
    }
}

/// Reads the scale of every row of a table with a column `metric`: its columns `better` and `unit`, where there are any, else what the
/// names say.
///
/// # Errors
/// [`StageError::Failed`] that names the row, where `better` is neither `higher`, `lower` nor empty.
pub fn scales(table: &RecordBatch) -> Result<Vec<Scale>, StageError> {
    let maybe = |name: &str| table.column_by_name(name).map(|_| columns::maybe_text(table, name)).transpose();
    let (better, unit) = (maybe("better")?, maybe("unit")?);
    let names = columns::text(table, "metric")?;
    let of_row = |(row, name): (usize, String)| -> Result<Scale, StageError> {
        let known = Scale::of_name(&name);
        let said = better.as_ref().and_then(|column| column[row].as_deref());
        let said = said.map(str::parse).transpose().map_err(|error: String| {
            StageError::failed(format!("row {row} of column `better`: {error}"))
                .help("leave it empty where no value is better than another")
        })?;
        Ok(Scale {
            better: if better.is_some() { said } else { known.better },
            unit: unit.as_ref().map_or(known.unit, |column| column[row].clone().map(Cow::Owned)),
        })
    };
    names.into_iter().enumerate().map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Values;

    fn read(names: &[&str], more: Vec<(&str, Vec<Option<&str>>)>) -> Result<Vec<Scale>, String> {
        let mut columns = vec![("metric", Values::Text(names.iter().map(|&name| name.to_owned()).collect()))];
        for (name, values) in more {
            columns
                .push((name, Values::MaybeText(values.into_iter().map(|v| v.map(str::to_owned)).collect())));
        }
        scales(&columns::table(columns).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_say_it_before_names() {
        let found = read(&["accuracy", "instance_f1", "error_rate"], vec![]).unwrap();
        assert_eq!(found, [Scale::FRACTION, Scale::default(), Scale::default()]);
        let better = vec![Some("lower"), None, Some("lower")];
        let unit = vec![None, Some("dB"), Some("fraction")];
        let found =
            read(&["accuracy", "dprime", "error_rate"], vec![("better", better), ("unit", unit)]).unwrap();
        assert_eq!(found[0], Scale::FALLING);
        assert_eq!(found[1], Scale { better: None, unit: Some("dB".into()) });
        assert_eq!(found[2], Scale { unit: Some("fraction".into()), ..Scale::FALLING });
        let error = read(&["x"], vec![("better", vec![Some("lowr")])]).unwrap_err();
        assert!(
            error.starts_with("row 0 of column `better`: `lowr` is neither `higher` nor `lower`"),
            "{error}"
        );
        assert!(error.contains("did you mean `lower`"), "{error}");
    }
}
