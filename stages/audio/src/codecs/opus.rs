//! Opus (RFC 6716) by `opus-pure`, with the channel mappings of RFC 7845.

use opus_pure::packet::samples_48k;
use opus_pure::{MAX_PACKET_SAMPLES, OpusDecoder};
use symphonia::core::audio::{AudioBuffer, AudioMut, AudioSpec, Channels};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::registry::SupportedAudioCodec;
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};

use super::super::decode::MAX_CHANNELS;
use super::framed::Packets;

/// Every stream is decoded at this rate, whatever rate it was made from, Hz.
const RATE: u32 = 48_000;

/// Where the channels of a stream come from: RFC 7845, section 5.1.1.
struct Layout {
    /// Streams in a packet; the first `coupled` of them have two channels.
    streams: usize,
    coupled: usize,
    /// For each channel the decoded channel that it takes, counted through the streams; 255 for silence.
    mapping: Vec<u8>,
    /// Gain in 1/256 dB.
    gain: i16,
}

impl Layout {
    /// Reads the identification header, which Ogg, Matroska and WebM share.
    fn read(head: &[u8]) -> Result<Self> {
        let (Some(&[version, channels, ..]), true) = (head.get(8..19), head.starts_with(b"OpusHead")) else {
            return decode_error("the identification header of Opus is cut off");
        };
        if version & 0xf0 != 0 {
            return unsupported_error("a version of Opus that came after RFC 7845");
        }
        let gain = i16::from_le_bytes([head[16], head[17]]);
        let count = usize::from(channels);
        let layout = match (head[18], head.get(19..21 + count)) {
            (0, _) => Self { gain, ..Self::plain(count) },
            (1 | 2 | 255, Some(&[streams, coupled, ref mapping @ ..])) => Self {
                streams: usize::from(streams),
                coupled: usize::from(coupled),
                mapping: mapping.to_vec(),
                gain,
            },
            (1 | 2 | 255, _) => return decode_error("the channel mapping of Opus is cut off"),
            _ => return unsupported_error("a channel mapping family of Opus other than 0, 1, 2 and 255"),
        };
        layout.check()
    }

    /// One stream of one or two channels.
    fn plain(channels: usize) -> Self {
        let mapping = (0u8..).take(channels).collect();
        Self { streams: 1, coupled: channels.saturating_sub(1), mapping, gain: 0 }
    }

    fn check(self) -> Result<Self> {
        let decoded = self.streams + self.coupled;
        let credible = (1..=MAX_CHANNELS).contains(&self.mapping.len())
            && (1..=MAX_CHANNELS).contains(&self.streams)
            && self.coupled <= self.streams
            && self.mapping.iter().all(|&from| from == 255 || usize::from(from) < decoded);
        if credible { Ok(self) } else { decode_error("the channel mapping of Opus contradicts itself") }
    }
}

/// Decodes packets of Opus; channels stand in the order of the mapping, which is that of Vorbis.
pub(super) struct Opus {
    layout: Layout,
    decoders: Vec<OpusDecoder>,
    /// The channels of one stream, interleaved.
    block: Vec<f32>,
}

impl Packets for Opus {
    const CODEC: &'static [SupportedAudioCodec; 1] = &[SupportedAudioCodec {
        id: CODEC_ID_OPUS,
        info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
    }];

    fn new(params: &AudioCodecParameters) -> Result<(Self, AudioBuffer<f32>)> {
        let layout = match &params.extra_data {
            Some(head) => Layout::read(head)?,
            None => Layout::plain(params.channels.as_ref().map_or(1, Channels::count)).check()?,
        };
        let mut decoders = Vec::new();
        for stream in 0..layout.streams {
            let channels = if stream < layout.coupled { 2 } else { 1 };
            let Ok(mut decoder) = OpusDecoder::new(RATE as i32, channels) else {
                return decode_error("no decoder for this stream of Opus");
            };
            decoder.gain_q8 = i32::from(layout.gain);
            decoders.push(decoder);
        }
        let channels = u16::try_from(layout.mapping.len()).unwrap_or(u16::MAX);
        let spec = AudioSpec::new(RATE, Channels::Discrete(channels));
        let buffer = AudioBuffer::new(spec, MAX_PACKET_SAMPLES);
        let block = vec![0.0; 2 * MAX_PACKET_SAMPLES];
        Ok((Self { layout, decoders, block }, buffer))
    }

    fn decode(&mut self, mut rest: &[u8], buffer: &mut AudioBuffer<f32>) -> Result<()> {
        let mut frames = None;
        let mut first = 0u8;
        for (stream, decoder) in self.decoders.iter_mut().enumerate() {
            let undelimited;
            let mut packet = rest;
            if stream + 1 < self.layout.streams {
                let Some((own, others)) = undelimit(rest) else {
                    return decode_error("a packet of Opus ends before its last stream");
                };
                (undelimited, rest) = (own, others);
                packet = &undelimited;
            }
            let count = samples_48k(packet)
                .and_then(|n| decoder.decode(packet, n, &mut self.block))
                .map_err(|_| Error::DecodeError("an invalid packet of Opus"))?;
            if frames.is_none() {
                buffer.render_silence(Some(count));
            } else if frames != Some(count) {
                return decode_error("the streams of a packet of Opus differ in length");
            }
            frames = Some(count);
            let width = if stream < self.layout.coupled { 2u8 } else { 1 };
            for (channel, &from) in self.layout.mapping.iter().enumerate() {
                let Some(offset) = from.checked_sub(first).filter(|&o| o < width && from != 255) else {
                    continue;
                };
                let samples = self.block[usize::from(offset)..].iter().step_by(usize::from(width));
                let plane = buffer.plane_mut(channel).into_iter().flatten();
                plane.zip(samples).for_each(|(to, &x)| *to = x);
            }
            first = first.saturating_add(width);
        }
        Ok(())
    }

    fn reset(&mut self) {
        for decoder in &mut self.decoders {
            // Fails for no decoder that could be made.
            let _ = decoder.reset_state();
        }
    }
}

/// Splits a self-delimited packet off: RFC 6716, appendix B. Returns it in the usual form, and what follows.
fn undelimit(data: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut at = 1;
    let byte = |at: &mut usize| {
        *at += 1;
        data.get(*at - 1).map(|&b| usize::from(b))
    };
    let length = |at: &mut usize| {
        let low = byte(at)?;
        if low < 252 { Some(low) } else { Some(low + 4 * byte(at)?) }
    };
    let (mut total, mut padding, mut repeats) = (0, 0, 1);
    match data.first()? & 3 {
        0 => {}
        1 => repeats = 2,
        2 => total = length(&mut at)?,
        _ => {
            let frames = byte(&mut at)?;
            if frames & 0x40 != 0 {
                loop {
                    let more = byte(&mut at)?;
                    padding += more.min(254);
                    if more < 255 {
                        break;
                    }
                }
            }
            if frames & 0x80 != 0 {
                for _ in 1..frames & 0x3f {
                    total += length(&mut at)?;
                }
            } else {
                repeats = frames & 0x3f;
            }
        }
    }
    let header = at;
    // What only the self-delimited form has: the length of the last frame, or of every one.
    total += repeats * length(&mut at)?;
    let end = at + total + padding;
    let packet = [&data[..header], data.get(at..end)?].concat();
    Some((packet, &data[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6716, appendix B: one length more than in section 3.2, before the frames.
    #[test]
    fn self_delimited_packets_of_every_code_are_split_off() {
        #[track_caller]
        fn check(delimited: &[u8], packet: &[u8]) {
            let data = [delimited, b"rest"].concat();
            assert_eq!(undelimit(&data), Some((packet.to_vec(), &b"rest"[..])));
            for cut in 0..delimited.len() {
                assert_eq!(undelimit(&data[..cut]), None, "cut at {cut}");
            }
        }
        check(&[0xf8, 2, 7, 8], &[0xf8, 7, 8]);
        check(&[0xf9, 2, 7, 8, 9, 10], &[0xf9, 7, 8, 9, 10]);
        check(&[0xfa, 1, 2, 7, 8, 9], &[0xfa, 1, 7, 8, 9]);
        // Three frames of one length; three of their own with two bytes of padding.
        check(&[0xfb, 3, 1, 7, 8, 9], &[0xfb, 3, 7, 8, 9]);
        check(&[0xfb, 0xc3, 2, 1, 0, 2, 7, 8, 9, 0, 0], &[0xfb, 0xc3, 2, 1, 0, 7, 8, 9, 0, 0]);
        // 252 + 4 · 1 bytes.
        let long = vec![5; 256];
        check(&[&[0xf8, 252, 1], &long[..]].concat(), &[&[0xf8], &long[..]].concat());
    }

    #[test]
    fn a_mapping_must_fit_its_streams() {
        let head = |family: u8, table: &[u8]| {
            let mut head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0".to_vec();
            head.push(family);
            head.extend(table);
            head
        };
        assert!(Layout::read(&head(0, &[])).is_ok());
        assert!(Layout::read(&head(255, &[2, 0, 1, 255])).is_ok());
        for wrong in
            [head(255, &[2, 0, 1, 2]), head(1, &[1, 2, 0, 1]), head(1, &[0, 0, 0, 0]), head(1, &[1, 1])]
        {
            assert!(Layout::read(&wrong).is_err(), "{wrong:?}");
        }
        assert!(Layout::read(&head(3, &[])).is_err());
        assert!(Layout::read(b"OpusHead").is_err());
    }
}
