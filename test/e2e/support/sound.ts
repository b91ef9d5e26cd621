/** What is heard in a recording: the share of a tone in the sound's energy. */

/** 16-bit samples after the header of a WAV file (its first 44 bytes), and their rate in Hz. */
export interface Sound {
  readonly rate: number;
  readonly samples: readonly number[];
}

/** @param tail the last bytes of the file, whole samples */
export const parseSound = (header: Buffer, tail: Buffer): Sound => ({
  rate: header.readUInt32LE(24),
  samples: Array.from({ length: Math.floor(tail.length / 2) }, (_, index) => tail.readInt16LE(index * 2)),
});

/** 0 to 1: how much of the sound's energy is at this frequency (Goertzel); silence has none. */
export const shareOf = ({ rate, samples }: Sound, hertz: number): number => {
  const turn = (2 * Math.PI * hertz) / rate;
  const factor = 2 * Math.cos(turn);
  let [before, last, energy] = [0, 0, 0];
  for (const sample of samples) {
    [before, last] = [last, sample + factor * last - before];
    energy += sample * sample;
  }
  const power = last * last + before * before - factor * last * before;
  return energy === 0 ? 0 : (2 * power) / (samples.length * energy);
};
