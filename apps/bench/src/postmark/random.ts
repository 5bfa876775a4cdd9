/**
 * The random numbers of PostMark: the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded the 1999 way.
 *
 * The golden counts depend on every single draw, so neither the generator nor its seeding is a matter of taste. The
 * *1999 seeding* fills each word of the state from the upper halves of two successive values of a linear congruential
 * generator; the better known seeding of 2002 gives an entirely different sequence.
 */

const STATE_WORDS = 624;
const SHIFT_WORDS = 397;
const UPPER_BIT = 0x80000000;
const LOWER_BITS = 0x7fffffff;
const TWIST = 0x9908b0df;
const UPPER_HALF = 0xffff0000;

export class Random {
  readonly #state: Uint32Array = new Uint32Array(STATE_WORDS);
  /** The next word to hand out; at the end the whole state is renewed. */
  #next: number = STATE_WORDS;

  /** @param seed an unsigned 32-bit integer */
  constructor(seed: number) {
    let congruential = seed >>> 0;
    const advance = (): number => {
      const upper = congruential & UPPER_HALF;
      congruential = (Math.imul(69069, congruential) + 1) >>> 0;
      return upper;
    };
    for (let i = 0; i < STATE_WORDS; i++) {
      const high = advance();
      this.#state[i] = high | (advance() >>> 16);
    }
  }

  /** The next unsigned 32-bit integer. */
  next32(): number {
    if (this.#next === STATE_WORDS) this.#renew();
    let word = this.#state[this.#next++] as number;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** RND(x) of the definition: an integer in [0, x), and 0 *without a draw* where x is not positive. */
  below(x: number): number {
    return x > 0 ? this.next32() % x : 0;
  }

  #renew(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const here = state[i] as number;
      const following = state[(i + 1) % STATE_WORDS] as number;
      const word = (here & UPPER_BIT) | (following & LOWER_BITS);
      const shifted = (word >>> 1) ^ (word & 1 ? TWIST : 0);
      state[i] = (state[(i + SHIFT_WORDS) % STATE_WORDS] as number) ^ shifted;
    }
    this.#next = 0;
  }
}
