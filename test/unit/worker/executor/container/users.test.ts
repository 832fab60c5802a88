import t from 'tap'
import { effectiveCapabilities } from '../../../../../worker/executor/container/capabilities.ts'
import { parseSignal } from '../../../../../worker/executor/container/signals.ts'
import { resolveUser } from '../../../../../worker/executor/container/users.ts'

const files = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\n# comment\napp:x:1000:1001::/home/app:/bin/sh\nbad line\n1001:x:7:7:::\n',
  group: 'root:x:0:root\nwheel:x:10:root,app\napp:x:1001:\nbad\n',
}

t.test('users by name and number', async (t) => {
  t.same(resolveUser(files, ''), { uid: 0, gid: 0, additionalGids: [0, 10], home: '/root' })
  t.same(resolveUser(files, 'app'), {
    uid: 1000,
    gid: 1001,
    additionalGids: [1001, 10],
    home: '/home/app',
  })
  t.same(resolveUser(files, '1000'), resolveUser(files, 'app'), 'a known number is that user')
  t.same(resolveUser(files, '5:6'), { uid: 5, gid: 6, additionalGids: [6], home: '/' })
  t.same(resolveUser(files, '5'), { uid: 5, gid: 0, additionalGids: [0], home: '/' })
  t.match(resolveUser(files, '1001'), { uid: 7 }, 'a name may look like a number')
})

t.test('groups: a given one replaces the memberships, extra ones add', async (t) => {
  t.match(resolveUser(files, 'app:wheel'), { gid: 10, additionalGids: [10] })
  t.match(resolveUser(files, 'app', ['99', 'wheel']), { additionalGids: [1001, 10, 99] })
})

t.test('an image without accounts knows numbers only', async (t) => {
  const none = { passwd: '', group: '' }
  t.match(resolveUser(none, ''), { uid: 0, gid: 0, home: '/' })
  t.throws(() => resolveUser(none, 'app'), { code: 'INVALID_ARGUMENT', message: /find user app/ })
  t.throws(() => resolveUser(none, '1:app'), { message: /find group app/ })
  t.throws(() => resolveUser(none, '99999999999'), { code: 'INVALID_ARGUMENT' })
})

t.test('capabilities: the default set, more, less, all, none', async (t) => {
  const count = (add: readonly string[], drop: readonly string[]): number =>
    effectiveCapabilities(add, drop).length
  t.equal(count([], []), 14)
  t.ok(effectiveCapabilities(['net_admin'], []).includes('CAP_NET_ADMIN'))
  t.notOk(effectiveCapabilities([], ['CAP_CHOWN']).includes('CAP_CHOWN'))
  t.same(effectiveCapabilities([], ['ALL']), [])
  t.same(effectiveCapabilities(['CHOWN'], ['ALL']), ['CAP_CHOWN'])
  t.equal(count(['ALL'], []), 41)
  t.equal(count(['ALL'], ['SYS_ADMIN']), 40)
  t.throws(() => effectiveCapabilities(['FLY'], []), { code: 'INVALID_ARGUMENT' })
})

t.test('signals by name and number', async (t) => {
  t.equal(parseSignal('SIGTERM'), 15)
  t.equal(parseSignal('term'), 15)
  t.equal(parseSignal('9'), 9)
  t.equal(parseSignal('SIGRTMIN'), 34)
  t.equal(parseSignal('RTMIN+3'), 37)
  t.equal(parseSignal('SIGRTMAX-1'), 63)
  for (const bad of ['', '0', '65', 'SIGFLY', '-1', 'RTMAX+1']) {
    t.throws(() => parseSignal(bad), { code: 'INVALID_ARGUMENT' }, bad)
  }
})
