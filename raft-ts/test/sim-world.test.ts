// The simulator's parts: time, processes, disk, network.

import type { DiskFile } from 'raft-ts'
import t from 'tap'
import { SimProcess } from '../build/testing/process.js'
import { SimRandom } from '../build/testing/random.js'
import { calmDisk, VirtualDisk } from '../build/testing/virtual-disk.js'
import { calmNetwork, VirtualNetwork } from '../build/testing/virtual-network.js'
import { World } from '../build/testing/world.js'
import { bytesOf, textOf } from './support/cluster.ts'

function runAll(world: World): void {
  while (world.step(Number.POSITIVE_INFINITY)) {
    // Every event is the test's own.
  }
}

function diskOf(world: World): { disk: VirtualDisk; process: SimProcess } {
  const disk = new VirtualDisk(world.random.fork())
  const process = new SimProcess('a', world, 1)
  disk.attach(process)
  return { disk, process }
}

function created(world: World, disk: VirtualDisk, name: string): DiskFile {
  let created: DiskFile | undefined
  disk.create(name, (_err, file) => {
    created = file
  })
  runAll(world)
  if (created === undefined) throw new Error('not created')
  return created
}

t.test('random: the same seed gives the same values', async (t) => {
  const draw = (seed: number): readonly number[] => {
    const random = new SimRandom(seed)
    return [random.float(), random.below(1000), random.between(5, 6), ...random.bytes(4)]
  }
  t.same(draw(7), draw(7))
  t.not(draw(7)[0], draw(8)[0])
  t.equal(new SimRandom(1).pick([]), undefined)
})

t.test('world: events run in order of time, then of scheduling', async (t) => {
  const world = new World(1)
  const seen: string[] = []
  const random = new SimRandom(3)
  const times = Array.from({ length: 500 }, () => random.below(50))
  for (const [i, at] of times.entries()) world.after(at, () => seen.push(`${at} ${i}`))
  const cancelled = world.after(10, () => seen.push('cancelled'))
  world.cancel(cancelled)
  runAll(world)
  const expected = [...times.entries()]
    .sort((x, y) => x[1] - y[1] || x[0] - y[0])
    .map(([i, at]) => `${at} ${i}`)
  t.same(seen, expected)
  t.equal(world.events, 500)
})

t.test('world: time stops at the limit', async (t) => {
  const world = new World(1)
  world.after(10, () => {})
  t.notOk(world.step(5))
  t.equal(world.nowMs, 5)
  t.ok(world.step(10))
  t.equal(world.nowMs, 10)
})

t.test('process: nothing runs after death, and later while stopped', async (t) => {
  const world = new World(1)
  const process = new SimProcess('a', world, 1)
  const seen: string[] = []
  process.setTimer(5, () => seen.push('first'))
  process.setTimer(10, () => seen.push('second'))
  process.setTimer(20, () => seen.push('third'))
  process.setTimer(7, () => seen.push('cancelled')).cancel()
  world.after(6, () => process.stop())
  world.after(15, () => process.resume())
  world.after(18, () => process.kill())
  world.step(14)
  while (world.step(14)) {
    // Up to the stop.
  }
  t.same(seen, ['first'])
  runAll(world)
  t.same(seen, ['first', 'second'])
  t.notOk(process.isAlive)
})

t.test('process: its clock runs at its own rate', async (t) => {
  const world = new World(1)
  const process = new SimProcess('a', world, 2)
  const start = process.monotonicMs()
  let firedAt = 0
  process.setTimer(100, () => {
    firedAt = world.nowMs
  })
  runAll(world)
  t.equal(firedAt, 50.001)
  process.setRate(0.5)
  world.after(100, () => {})
  runAll(world)
  const expected = 2 * 50.001 + 0.5 * (world.nowMs - 50.001)
  t.ok(Math.abs(process.monotonicMs() - start - expected) < 1e-6)
})

t.test('process: what it throws names it', async (t) => {
  const world = new World(1)
  const process = new SimProcess('a#1', world, 1)
  t.throws(
    () =>
      process.run(() => {
        throw new Error('broken')
      }),
    /a#1 threw.*broken/s,
  )
})

t.test('disk: what was synced survives a crash', async (t) => {
  const world = new World(1)
  const { disk } = diskOf(world)
  const file = created(world, disk, 'log')
  const done: string[] = []
  file.append(bytesOf('hello '), () => done.push('append'))
  file.append(bytesOf('world'), () => done.push('append'))
  file.sync(() => done.push('sync'))
  t.same(done, [], 'no callback before the call returned')
  runAll(world)
  t.same(done, ['append', 'append', 'sync'])
  disk.crash()
  t.equal(textOf(disk.read('log', 0, 100)), 'hello world')
  t.equal(disk.size('log'), 11)
  t.same(disk.list(), ['log'])
})

t.test(
  'disk: of what was not synced a prefix may remain, with holes of whole sectors',
  async (t) => {
    const lengths = new Set<number>()
    let holes = 0
    for (let seed = 1; seed <= 200; seed++) {
      const world = new World(seed)
      const { disk } = diskOf(world)
      const file = created(world, disk, 'log')
      file.append(new Uint8Array(100).fill(1), () => {})
      file.sync(() => {})
      runAll(world)
      file.append(new Uint8Array(4000).fill(2), () => {})
      disk.crash()
      const bytes = disk.read('log', 0, 10_000)
      lengths.add(bytes.length)
      t.ok(bytes.length >= 100 && bytes.length <= 4100)
      if (!bytes.subarray(0, 100).every((byte) => byte === 1)) t.fail('synced bytes changed')
      for (let at = 512; at < bytes.length; at += 512) {
        const sector = bytes.subarray(at, at + 512)
        if (sector[0] === 0) holes += 1
        if (new Set(sector).size !== 1) t.fail('part of a sector was lost')
      }
    }
    t.ok(lengths.size > 100)
    t.ok(holes > 20)
  },
)

t.test(
  'disk: a change of names may or may not have happened when a crash interrupts it',
  async (t) => {
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 50; seed++) {
      const world = new World(seed)
      const { disk, process } = diskOf(world)
      created(world, disk, 'a')
      disk.rename('a', 'b', () => t.fail('dead processes get no callback'))
      disk.remove('b', () => t.fail('dead processes get no callback'))
      process.kill()
      disk.crash()
      runAll(world)
      outcomes.add(disk.list().join())
    }
    t.same([...outcomes].sort(), ['', 'a', 'b'])
  },
)

t.test('disk: errors are typed', async (t) => {
  const world = new World(1)
  const { disk } = diskOf(world)
  created(world, disk, 'a')
  const codes: (string | undefined)[] = []
  const note = (err: unknown): void => {
    codes.push((err as { code?: string } | undefined)?.code)
  }
  disk.create('a', note)
  runAll(world)
  disk.rename('x', 'y', note)
  runAll(world)
  disk.remove('x', note)
  runAll(world)
  t.same(codes, ['EXISTS', 'NOT_FOUND', undefined])
  t.throws(() => disk.read('x', 0, 1), { code: 'NOT_FOUND' })
  t.throws(() => disk.size('x'), { code: 'NOT_FOUND' })
})

t.test('disk: a failing device fails writes and syncs', async (t) => {
  const world = new World(1)
  const { disk } = diskOf(world)
  const file = created(world, disk, 'a')
  disk.weather = { ...calmDisk, failing: 1 }
  const errors: unknown[] = []
  file.append(bytesOf('x'), (err) => errors.push(err))
  file.sync((err) => errors.push(err))
  runAll(world)
  t.match(errors, [{ code: 'IO' }, { code: 'IO' }])
})

t.test('disk: rot flips one synced bit', async (t) => {
  const world = new World(1)
  const { disk } = diskOf(world)
  t.notOk(disk.rot(() => true))
  const file = created(world, disk, 'a')
  file.append(new Uint8Array(64), () => {})
  file.sync(() => {})
  runAll(world)
  t.notOk(disk.rot((name) => name === 'b'))
  t.ok(disk.rot(() => true))
  const ones = [...disk.read('a', 0, 64)].map((byte) => byte.toString(2).replaceAll('0', '').length)
  t.equal(
    ones.reduce((sum, n) => sum + n, 0),
    1,
  )
})

t.test('disk: a disk that skips flushes loses what it called durable', async (t) => {
  const world = new World(5)
  const disk = new VirtualDisk(world.random.fork(), { skipsFlush: () => true })
  disk.attach(new SimProcess('a', world, 1))
  const file = created(world, disk, 'a')
  file.append(new Uint8Array(4096).fill(1), () => {})
  file.sync(() => {})
  runAll(world)
  disk.crash()
  t.ok(disk.size('a') < 4096)
})

function heartbeat(round: number): Parameters<VirtualNetwork['send']>[1] {
  return { kind: 'heartbeat', from: 'a', to: 'b', term: 1, commit: 0, round }
}

t.test('network: delivers after a delay, to who listens then', async (t) => {
  const world = new World(1)
  const network = new VirtualNetwork(world)
  const got: unknown[] = []
  network.listen('b', (_lane, message) => got.push(message))
  t.ok(network.send('fast', heartbeat(1)))
  t.same(got, [])
  runAll(world)
  t.same(got, [heartbeat(1)])
  network.send('fast', heartbeat(2))
  network.listen('b', undefined)
  runAll(world)
  t.equal(got.length, 1)
})

t.test('network: a cut is one way, and catches what is under way', async (t) => {
  const world = new World(1)
  const network = new VirtualNetwork(world)
  let got = 0
  for (const id of ['a', 'b']) network.listen(id, () => (got += 1))
  network.send('fast', heartbeat(1))
  network.cut('a', 'b')
  network.send('fast', heartbeat(2))
  network.send('fast', { ...heartbeat(3), from: 'b', to: 'a' })
  runAll(world)
  t.equal(got, 1)
  network.healAll()
  network.send('fast', heartbeat(4))
  runAll(world)
  t.equal(got, 2)
})

t.test('network: loses, repeats and reorders by the weather', async (t) => {
  const world = new World(1)
  const network = new VirtualNetwork(world)
  const got: number[] = []
  network.listen('b', (_lane, message) => {
    if (message.kind === 'heartbeat') got.push(message.round)
  })
  network.weather = { ...calmNetwork, losing: 0.3, repeating: 0.3, reordering: 0.3, reorderMs: 50 }
  for (let i = 0; i < 300; i++) {
    world.after(i, () => {
      network.send('fast', heartbeat(i))
    })
  }
  runAll(world)
  const distinct = new Set(got)
  t.ok(distinct.size < 250 && distinct.size > 150)
  t.ok(got.length > distinct.size + 20)
  t.ok(got.some((round, i) => round < (got[i - 1] ?? 0)))
})
