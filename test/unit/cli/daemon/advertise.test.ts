// Which address a node advertises when those of its host change.
import t from 'tap'
import { AddressWatch } from '../../../../cli/daemon/address-watch.ts'
import type { InterfaceAddress } from '../../../../cli/daemon/addresses.ts'
import { type Advertised, nextAdvertised } from '../../../../cli/daemon/advertise.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const at = (name: string, cidr: string): InterfaceAddress => ({
  interface: name,
  address: cidr.split('/')[0] ?? '',
  cidr,
})
const lan = at('eth0', '10.0.0.5/24')
const home = { interface: 'eth0', cidr: '10.0.0.5/24' }
const state: Advertised = {
  listenAddress: '0.0.0.0:2377',
  advertiseHost: '10.0.0.5',
  advertiseHome: home,
}

t.test('an address that is there stays, and its interface is remembered', async (t) => {
  const fresh = { ...state, advertiseHome: undefined }
  t.match(nextAdvertised(fresh, [at('eth1', '10.1.0.1/24'), lan]), {
    kind: 'settle',
    next: { ...state },
  })
  t.same(nextAdvertised(state, [lan, at('eth0', '10.0.0.6/24')]), { kind: 'keep' })
  t.same(nextAdvertised(state, [at('ens3', '10.0.0.5/24')]), { kind: 'keep' }, 'renamed')
})

t.test('an address that this host never had is kept: others translate it', async (t) => {
  const translated = { ...state, advertiseHost: '192.0.2.1', advertiseHome: undefined }
  t.same(nextAdvertised(translated, [lan]), { kind: 'keep' })
  t.same(nextAdvertised(translated, []), { kind: 'keep' })
})

t.test('a lost one is replaced on its interface, within its subnet if there is one', async (t) => {
  t.match(nextAdvertised(state, [at('eth1', '10.0.0.7/24'), at('eth0', '10.9.0.1/16')]), {
    kind: 'move',
    isSoon: true,
    candidates: 1,
    next: {
      advertiseHost: '10.9.0.1',
      advertiseHome: { interface: 'eth0', cidr: '10.9.0.1/16' },
      listenAddress: '0.0.0.0:2377',
    },
  })
  t.match(nextAdvertised(state, [at('eth0', '10.9.0.1/16'), at('eth0', '10.0.0.9/24')]), {
    next: { advertiseHost: '10.0.0.9' },
    candidates: 2,
  })
  const six = { ...state, advertiseHost: 'fd00::5', advertiseHome: { ...home, cidr: 'fd00::5/64' } }
  const both = [at('eth0', '10.0.0.9/24'), at('eth0', 'fd01::1/64'), at('eth0', 'fd00::9/64')]
  t.match(nextAdvertised(six, both), { next: { advertiseHost: 'fd00::9' }, candidates: 2 })
})

t.test('with nothing on its interface another one may do for a while', async (t) => {
  const near = nextAdvertised(state, [at('eth1', '10.7.0.1/24'), at('eth2', '10.0.0.7/24')])
  t.match(near, { kind: 'move', isSoon: false, next: { advertiseHost: '10.0.0.7' } })
  const only = nextAdvertised(state, [at('eth1', '10.7.0.1/24'), at('eth1', 'fd00::1/64')])
  t.match(only, {
    kind: 'move',
    isSoon: false,
    candidates: 1,
    next: { advertiseHost: '10.7.0.1', advertiseHome: home },
  })
  const away = { ...state, advertiseHost: '10.7.0.1' }
  t.same(nextAdvertised(away, [at('eth1', '10.7.0.1/24')]), { kind: 'keep' })
  t.match(
    nextAdvertised(away, [at('eth1', '10.7.0.1/24'), lan]),
    { kind: 'move', isSoon: true, next: { advertiseHost: '10.0.0.5' } },
    'it goes home',
  )
  const two = [at('eth1', '10.7.0.1/24'), at('eth2', '10.8.0.1/24')]
  t.same(nextAdvertised(state, two), { kind: 'lost', candidates: 2 })
  t.same(nextAdvertised(state, []), { kind: 'lost', candidates: 0 })
})

t.test('a node that listens at its address listens at the next one', async (t) => {
  const own = { ...state, listenAddress: '10.0.0.5:4000' }
  const moved = nextAdvertised(own, [at('eth0', '10.0.0.6/24')])
  t.match(moved, { next: { listenAddress: '10.0.0.6:4000', advertiseHost: '10.0.0.6' } })
})

function aWatch(first: readonly InterfaceAddress[], start: Advertised = state) {
  const world = { now: first, state: start, moves: [] as string[], settled: 0 }
  const clock = new VirtualClock()
  const watch = new AddressWatch({
    state: () => world.state,
    addresses: () => world.now,
    settle: (next) => {
      world.state = next
      world.settled += 1
    },
    move: async (next) => {
      world.state = next
      world.moves.push(next.advertiseHost)
    },
    clock,
    log: silentLogger,
  })
  const life = new AbortController()
  return { world, clock, watch, life }
}

t.test('a node moves within a second or so, not for an address that blinks', async (t) => {
  const { world, clock, watch, life } = aWatch([lan], { ...state, advertiseHome: undefined })
  const done = watch.run(life.signal)
  await clock.advance(600)
  t.equal(world.settled, 1)
  world.now = [at('eth0', '10.0.0.6/24')]
  await clock.advance(500)
  t.same(world.moves, [], 'one look is no proof')
  world.now = [lan]
  await clock.advance(500)
  world.now = [at('eth0', '10.0.0.6/24')]
  await clock.advance(1_000)
  t.same(world.moves, ['10.0.0.6'])
  await clock.advance(5_000)
  t.same(world.moves, ['10.0.0.6'], 'once')
  life.abort()
  await clock.advance(500)
  await done
})

t.test('another interface is given more time, and none may be there at all', async (t) => {
  const { world, clock, watch, life } = aWatch([])
  const done = watch.run(life.signal)
  await clock.advance(4_000)
  world.now = [at('eth1', '10.7.0.1/24')]
  await clock.advance(1_000)
  t.same(world.moves, [])
  await clock.advance(5_000)
  t.same(world.moves, ['10.7.0.1'])
  world.now = [lan]
  await clock.advance(1_100)
  t.same(world.moves, ['10.7.0.1', '10.0.0.5'])
  life.abort()
  await clock.advance(500)
  await done
})

t.test(
  'at the start of a daemon its own interface is believed at once, another is not',
  async (t) => {
    const here = aWatch([at('eth0', '10.0.0.6/24')])
    await here.watch.look(true)
    t.same(here.world.moves, ['10.0.0.6'])
    const elsewhere = aWatch([at('eth1', '10.7.0.1/24')])
    await elsewhere.watch.look(true)
    t.same(elsewhere.world.moves, [])
  },
)
