import * as fc from 'fast-check'
import t from 'tap'
import { defaultDetachKeys, detachFilter, parseDetachKeys } from '../../../cli/detach-keys.ts'

t.test('keys are written as docker has them', async (t) => {
  const cases: readonly (readonly [string, readonly number[]])[] = [
    [defaultDetachKeys, [16, 17]],
    ['a', [97]],
    ['ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL', [0, 27, 28, 29, 30, 31, 127]],
    ['CTRL-C,z', [3, 122]],
    ['', []],
  ]
  for (const [text, bytes] of cases) t.same([...parseDetachKeys(text)], bytes, text)
  for (const text of ['ctrl-', 'ctrl-1', 'ab', ',', 'é', 'ctrl-pq']) {
    t.throws(() => parseDetachKeys(text), { code: 'USAGE', message: /invalid detach keys/ }, text)
  }
})

/** What is passed on, with "!" where the keys were found. */
function typed(keys: string, ...chunks: readonly string[]): readonly string[] {
  const filter = detachFilter(Buffer.from(keys))
  return chunks.map((chunk) => {
    const { passed, leaves } = filter(Buffer.from(chunk))
    return Buffer.from(passed).toString() + (leaves ? '!' : '')
  })
}

t.test('keys are found over chunks, and what only begins like them is passed on', async (t) => {
  t.same(typed('pq', 'hello', 'p', 'q'), ['hello', '', '!'])
  t.same(typed('pq', 'p', 'x'), ['', 'px'])
  t.same(typed('pq', 'pp', 'q'), ['p', '!'], 'the second one is a beginning')
  t.same(typed('aab', 'aaa', 'b'), ['a', '!'])
  t.same(typed('abac', 'abab', 'ac'), ['ab', '!'])
  t.same(typed('q', 'ls q'), ['ls !'])
  t.same(typed('', 'pq'), ['pq'], 'none: nothing leaves')
})

t.test('nothing is lost or invented, and the keys are found where they are first', async () => {
  const word = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 })
  const property = fc.property(
    fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 4 }),
    fc.array(word, { maxLength: 5 }),
    (keyList, chunkList) => {
      const keys = keyList.join('')
      const chunks = chunkList.map((one) => one.join(''))
      const at = chunks.join('').indexOf(keys)
      const out = typed(keys, ...chunks)
      const found = out.findIndex((one) => one.endsWith('!'))
      const whole = chunks.join('')
      if (found >= 0) return out.slice(0, found + 1).join('') === `${whole.slice(0, at)}!`
      // What is held back is a beginning of the keys.
      const passed = out.join('')
      return at < 0 && whole.startsWith(passed) && keys.startsWith(whole.slice(passed.length))
    },
  )
  fc.assert(property, { numRuns: 300 })
})
