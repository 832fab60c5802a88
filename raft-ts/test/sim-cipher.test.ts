// The cipher of a simulation: whatever the real one notices, the cheap one notices too.
import t from 'tap'
import { aesGcm } from '../build/storage/aead.js'
import { SimCipher } from '../build/testing/sim-cipher.js'
import { bytesOf } from './support/cluster.ts'

const key = new Uint8Array(32).fill(1)
const nonceOf = (n: number): Uint8Array => new Uint8Array(12).fill(n)
const place = bytesOf('entry 7')
const plain = bytesOf('what is kept')

for (const isReal of [true, false]) {
  const name = isReal ? 'real' : 'cheap'

  t.test(`${name}: what was sealed opens, and reads as nothing else`, async (t) => {
    const aead = new SimCipher(isReal).under(key)
    const sealed = Buffer.concat(aead.seal(nonceOf(1), place, plain))
    t.same(aead.open(nonceOf(1), place, sealed), Buffer.from(plain))
    t.equal(sealed.length, plain.length + 16)
    t.equal(sealed.indexOf(plain), -1)
    t.equal(
      aead.open(nonceOf(2), place, Buffer.concat(aead.seal(nonceOf(2), place, new Uint8Array(0))))
        .length,
      0,
    )
  })

  t.test(`${name}: another key, nonce or place, and every flipped bit, is noticed`, async (t) => {
    const cipher = new SimCipher(isReal)
    const aead = cipher.under(key)
    const sealed = Buffer.concat(aead.seal(nonceOf(1), place, plain))
    t.throws(() => cipher.under(new Uint8Array(32)).open(nonceOf(1), place, sealed))
    t.throws(() => aead.open(nonceOf(2), place, sealed))
    t.throws(() => aead.open(nonceOf(1), bytesOf('entry 8'), sealed))
    t.throws(() => aead.open(nonceOf(1), place, sealed.subarray(1)))
    t.throws(() => aead.open(nonceOf(1), place, sealed.subarray(0, 15)))
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const flipped = Buffer.from(sealed)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      t.throws(() => aead.open(nonceOf(1), place, flipped), `bit ${bit}`)
    }
  })

  t.test(`${name}: a nonce that comes twice under a key is told`, async (t) => {
    const cipher = new SimCipher(isReal)
    let repeated = 0
    cipher.onRepeated = () => {
      repeated += 1
    }
    cipher.under(key).seal(nonceOf(1), place, plain)
    cipher.under(key).seal(nonceOf(2), place, plain)
    cipher.under(new Uint8Array(32)).seal(nonceOf(1), place, plain)
    t.equal(repeated, 0)
    cipher.under(key).seal(nonceOf(2), place, plain)
    t.equal(repeated, 1)
  })
}

t.test('real: it is what the storage seals with', async (t) => {
  const sealed = Buffer.concat(new SimCipher(true).under(key).seal(nonceOf(1), place, plain))
  t.same(aesGcm(key).open(nonceOf(1), place, sealed), Buffer.from(plain))
})
