import t from 'tap'
import {
  concernOfLine,
  DataPlaneWatcher,
  isForeignChange,
  isNeverOurs,
  lostItem,
} from '../../../../worker/network/data-plane-watch.ts'

const isAlive = (link: string): boolean => link === 'v000000000001'

t.test('what the network rests on rings', async (t) => {
  for (const line of [
    'Deleted 10.1.0.12 via 100.127.0.2 dev vx100001 src 100.127.0.1 onlink',
    'Deleted 100.127.0.2 dev vx100001 lladdr 02:00:00:00:01:02 PERMANENT',
    'Deleted 100.127.0.2 dev vx100001 FAILED ',
    'Deleted 02:00:00:00:01:02 dev vx100001 dst 10.99.0.2 self static',
    'Deleted 4096: from all fwmark 0x1 lookup 100001',
    'Deleted 10.1.0.11 dev v000000000001 scope link',
    'inet vx100001 rp_filter strict ',
    'inet all forwarding off ',
    'delete rule inet tsswarm forward handle 7',
    'delete element inet tsswarm vips { 10.1.0.2 : jump svc4_1 }',
  ]) {
    t.ok(isForeignChange(line, isAlive), line)
  }
})

t.test('an address that is led nowhere is of somebody else, whoever writes just now', async (t) => {
  t.ok(isNeverOurs('unreachable 10.0.1.4 '))
  t.ok(isNeverOurs('blackhole fd77:2::4 dev lo metric 1024 pref medium'))
  t.notOk(isNeverOurs('unreachable 10.0.1.0/24 '), 'a subnet')
  t.notOk(isNeverOurs('Deleted unreachable 10.0.1.4 '), 'its end')
  t.notOk(isNeverOurs('unreachable default dev lo metric 4294967295'))
  t.notOk(isNeverOurs('10.0.1.4 dev v000000000001 scope link'))
})

t.test('what the kernel does by itself does not', async (t) => {
  for (const line of [
    '',
    '# new generation 7',
    '       valid_lft forever preferred_lft forever',
    '    link/ether 02:00:00:00:01:01 brd ff:ff:ff:ff:ff:ff',
    'Deleted 10.1.0.11 dev v000000000002 scope link',
    '169.254.77.1 dev up0 lladdr aa:bb:cc:dd:ee:ff STALE',
    '10.0.0.9 dev up0 FAILED',
    'Deleted 169.254.77.1 dev up0 FAILED ',
    'inet v000000000001 forwarding on rp_filter strict mc_forwarding off proxy_neigh off ignore_routes_with_linkdown off ',
    'Deleted inet v000000000001 ',
    'inet v000000000002 rp_filter strict ',
    '4: v000000000001    inet6 fe80::ff:fe00:101/64 scope link',
    'fe80::/64 dev v000000000001 proto kernel metric 256 pref medium',
    'multicast ff00::/8 dev v000000000001 table local proto kernel metric 256',
  ]) {
    t.notOk(isForeignChange(line, isAlive), line)
  }
})

t.test('a namespace that is made anew is watched anew, one that is gone is let go', async (t) => {
  let inode: number | undefined
  const seen: string[] = []
  const watcher = new DataPlaneWatcher(
    async () => inode,
    async (signal) => {
      seen.push('begins')
      await new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => resolve(), { once: true }),
      )
      seen.push('ends')
    },
  )
  await watcher.follow()
  t.same(seen, [], 'nothing to watch yet')
  inode = 1
  await watcher.follow()
  await watcher.follow()
  t.same(seen, ['begins'])
  inode = undefined
  await watcher.follow()
  t.same(seen, ['begins', 'ends'])
  inode = 2
  await watcher.follow()
  await watcher.stop()
  t.same(seen, ['begins', 'ends', 'begins', 'ends'])
})

t.test('what is lost is named as the item it was', async (t) => {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['Deleted 10.1.0.12 via 100.127.0.2 dev vx100001 src 100.127.0.1 onlink', 'route 10.1.0.12'],
    ['Deleted unreachable 10.1.0.0/24 ', 'route 10.1.0.0/24'],
    ['Deleted local 10.1.0.2 dev lo table local scope host', 'route 10.1.0.2 table local'],
    [
      'Deleted 100.127.0.2 dev vx100001 lladdr 02:00:00:00:01:02 PERMANENT',
      'neighbour vx100001 100.127.0.2',
    ],
    [
      'Deleted 02:00:00:00:01:02 dev vx100001 dst 10.99.0.2 self static',
      'fdb vx100001 02:00:00:00:01:02',
    ],
    ['Deleted 3: vx100001: <BROADCAST,MULTICAST> mtu 1450 qdisc noop', 'link vx100001'],
    ['Deleted 3: v000000000001@if2: <BROADCAST> mtu 1450', 'link v000000000001'],
    ['Deleted 100.127.0.2 dev vx100001 FAILED ', 'neighbour vx100001 100.127.0.2'],
    [
      'delete element inet tsswarm vips { 10.1.0.2 : jump svc4_1 }',
      'element vips 10.1.0.2 : jump svc4_1',
    ],
    ['delete table inet tsswarm', 'table'],
    ['10.1.0.12 via 100.127.0.2 dev vx100001', undefined],
  ]
  for (const [line, item] of lines) t.equal(lostItem(line), item, line)
})

t.test('while this process writes, what it may have written itself is in doubt', async (t) => {
  const rows: readonly (readonly [string, string, string])[] = [
    // Line, when nothing is written, while something is.
    ['Deleted unreachable 10.1.0.0/24 ', 'foreign', 'foreign'],
    ['Deleted 10.1.0.12 via 100.127.0.2 dev vx100001 onlink', 'foreign', 'doubtful'],
    ['10.1.0.13 via 100.127.0.2 dev vx100001 onlink', 'foreign', 'doubtful'],
    ['add element inet tsswarm same_network { 10.1.0.9 . 10.2.0.9 }', 'foreign', 'doubtful'],
    ['delete table inet tsswarm', 'foreign', 'foreign'],
    // Of a chain that was written to just now, and of others.
    ['delete rule inet tsswarm svc4_1_web handle 7', 'foreign', 'doubtful'],
    ['delete rule inet tsswarm svc4_1_db handle 9', 'foreign', 'foreign'],
    ['delete chain inet tsswarm svc4_1_db', 'foreign', 'foreign'],
    ['add rule inet tsswarm forward drop', 'foreign', 'foreign'],
    ['blackhole 10.1.0.14 ', 'foreign', 'foreign'],
    ['# new generation 7', 'none', 'none'],
    ['Deleted 10.1.0.11 dev v000000000002 scope link', 'none', 'none'],
  ]
  const isNeeded = (item: string): boolean => item === 'route 10.1.0.0/24'
  const isWritten = (chain: string): boolean => chain === 'svc4_1_web'
  const known = { isAlive, isNeeded, isWritten }
  for (const [line, otherwise, whileWriting] of rows) {
    t.equal(concernOfLine(line, { ...known, isWriting: () => false }), otherwise, line)
    t.equal(concernOfLine(line, { ...known, isWriting: () => true }), whileWriting, line)
  }
})
