import t from 'tap'
import { bindsMeet, canonicalBind, isWildcardBind } from '../../../proto/objects/index.ts'

t.test('the same port at two addresses is the same when packets could be for both', async (t) => {
  const rows = [
    ['', '', true],
    ['', '10.0.0.5', true],
    ['', '::', true],
    ['0.0.0.0', '10.0.0.5', true],
    ['0.0.0.0', '0.0.0.0', true],
    ['0.0.0.0', 'fd00::5', false],
    ['0.0.0.0', '::', false],
    ['::', 'fd00::5', true],
    ['0:0::', 'fd00::5', true],
    ['10.0.0.5', '10.0.0.6', false],
    ['10.0.0.5', '::ffff:10.0.0.5', true],
    ['fd00::5', 'FD00:0:0::5', true],
    ['fd00::5', 'fd00::6', false],
  ] as const
  for (const [one, other, meets] of rows) {
    t.equal(bindsMeet(one, other), meets, `"${one}" and "${other}"`)
    t.equal(bindsMeet(other, one), meets, `"${other}" and "${one}"`)
  }
})

t.test('addresses have one form, other text stays', async (t) => {
  t.equal(canonicalBind('FD00:0::5'), 'fd00::5')
  t.equal(canonicalBind('eth0'), 'eth0')
  t.equal(canonicalBind(''), '')
  t.strictSame(['', '0.0.0.0', '0::', '127.0.0.1', '::1'].map(isWildcardBind), [
    ...[true, true, true],
    ...[false, false],
  ])
})
