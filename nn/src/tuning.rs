//! Which parameters a training changes, and how fast.

use std::{collections::BTreeMap, fmt};

use dfdx::tensor::Cpu;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Device, NnError,
    net::{HeadSpec, InputShape, Network, NetworkSpec},
    parameter::Parameters,
};

/// What a training leaves as it is. Batch norms whose weight is frozen use their running statistics and leave them, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Freeze {
    /// Nothing; written `none`.
    #[default]
    None,
    /// Everything before the classifier; written `encoder`.
    Encoder,
    /// Parameters whose names start with one of these; written as a list.
    Prefixes(Vec<String>),
}

impl Serialize for Freeze {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Freeze::None => serializer.serialize_str("none"),
            Freeze::Encoder => serializer.serialize_str("encoder"),
            Freeze::Prefixes(prefixes) => prefixes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Freeze {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Freeze;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `encoder` or a list of the starts of parameters' names")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Freeze, E> {
                match text {
                    "none" => Ok(Freeze::None),
                    "encoder" => Ok(Freeze::Encoder),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Freeze, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Freeze::Prefixes)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How the parameters of a network are trained; by default all alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    /// What stays as it is.
    pub freeze: Freeze,
    /// Factors of the learning rate by the start of a parameter's name; of several that fit, the longest counts.
    pub rates: BTreeMap<String, f64>,
    /// Weight decays in place of the optimiser's by the start of a parameter's name; of several that fit, the longest counts.
    pub decays: BTreeMap<String, f64>,
}

/// The number of the longest prefix that a name starts with.
fn longest(numbers: &BTreeMap<String, f64>, name: &str) -> Option<f64> {
    let fitting = numbers.iter().filter(|(prefix, _)| name.starts_with(prefix.as_str()));
    fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, number)| *number)
}

impl Tuning {
    /// Fails as a training would: where a prefix fits no parameter of the network, a factor is out of range, or nothing is left to
    /// train. No parameter gets a value.
    pub fn check(&self, network: &NetworkSpec) -> Result<(), NnError> {
        network.check()?;
        // Names depend neither on the shape of the input nor on the number of outputs. Two channels are two images, too.
        let (frames, bands) = network.least();
        let input = InputShape { channels: 2, frames, bands };
        let mut network = Network::unfilled(Cpu::default(), network, &HeadSpec::Classifier, (input, 1))?;
        let classifier = network.spec().classifier();
        self.apply(network.parameters_mut(), classifier)
    }

    /// Marks the parameters of a network with the given classifier.
    pub(crate) fn apply<D: Device>(
        &self,
        parameters: &mut Parameters<D>,
        classifier: &str,
    ) -> Result<(), NnError> {
        let classifier = format!("{classifier}.");
        let frozen = match &self.freeze {
            Freeze::None | Freeze::Encoder => &[][..],
            Freeze::Prefixes(prefixes) => prefixes,
        };
        for (option, prefix) in frozen
            .iter()
            .map(|prefix| ("freeze", prefix))
            .chain(self.rates.keys().map(|prefix| ("rates", prefix)))
            .chain(self.decays.keys().map(|prefix| ("decays", prefix)))
        {
            if !parameters.iter().any(|p| p.trained && p.name.starts_with(prefix.as_str())) {
                let first = parameters.iter().next().map_or("", |p| p.name.as_str());
                let range = format!("the start of a parameter's name, such as `{first}`");
                return Err(NnError::range(option, format!("`{prefix}`"), &range));
            }
        }
        if let Some((prefix, rate)) = self.rates.iter().find(|(_, rate)| !(0.0..=1e3).contains(*rate)) {
            return Err(NnError::range("rates", format!("{rate} for `{prefix}`"), "factors in 0..=1000"));
        }
        if let Some((prefix, decay)) = self.decays.iter().find(|(_, d)| !(**d >= 0.0 && d.is_finite())) {
            return Err(NnError::range("decays", format!("{decay} for `{prefix}`"), "numbers from 0"));
        }
        for p in parameters.iter_mut() {
            let frozen = match &self.freeze {
                Freeze::None => false,
                Freeze::Encoder => !p.name.starts_with(&classifier),
                Freeze::Prefixes(prefixes) => prefixes.iter().any(|prefix| p.name.starts_with(prefix)),
            };
            p.trained &= !frozen;
            p.rate = longest(&self.rates, &p.name).unwrap_or(1.0);
            p.decay = longest(&self.decays, &p.name);
        }
        if parameters.count() == 0 {
            return Err(NnError::range(
                "freeze",
                format!("{frozen:?}"),
                "such that something is left to train",
            ));
        }
        Ok(())
    }
}
