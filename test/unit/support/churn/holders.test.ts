import t from 'tap'
import { type Arrival, Holders, type Payload } from '../../../support/churn/holders.ts'
import type { Picture, PictureTask } from '../../../support/churn/picture.ts'

const address = '10.1.0.5'

function aTask(id: string, serviceId: string, task: Partial<PictureTask> = {}): PictureTask {
  return {
    id,
    serviceId,
    serviceName: serviceId,
    nodeId: 'node1',
    state: 512,
    desiredState: 512,
    pid: 1,
    err: '',
    addresses: new Map([['net', address]]),
    ...task,
  }
}

/** Services by the last byte of their virtual address. */
function aPicture(
  atMs: number,
  tasks: readonly PictureTask[],
  vips: Readonly<Record<string, number>> = {},
): Picture {
  const services = Object.entries(vips).map(([id, byte]) => ({
    id,
    name: id,
    vips: new Map([['net', `10.1.0.${byte}`]]),
  }))
  const ground = { nodes: [], networks: [] }
  return { fromMs: atMs, toMs: atMs + 10, ground, services, tasks }
}

function anArrival(payload: Partial<Payload>, taskId: string, atMs: number): Arrival {
  const base = { sentMs: atMs - 5, networkId: 'net', address, kind: 'task', id: 'a' } as const
  return { payload: { ...base, ...payload }, taskId, atMs }
}

const other = { addresses: new Map([['net', '10.1.0.6']]) }

t.test('who has the address is right to answer, before and after it is not', (t) => {
  const holders = new Holders()
  for (const atMs of [1_000, 1_100, 1_200]) holders.note(aPicture(atMs, [aTask('a', 's')]))
  for (const atMs of [1_300, 1_400]) holders.note(aPicture(atMs, []))
  for (const atMs of [1_500, 1_600]) holders.note(aPicture(atMs, [aTask('b', 's')]))
  t.equal(holders.judge(anArrival({}, 'a', 1_150)), undefined)
  t.equal(holders.judge(anArrival({}, 'a', 1_305)), undefined, 'it may just have ended')
  t.match(holders.judge(anArrival({}, 'a', 1_450)), /was not its/)
  t.match(holders.judge(anArrival({}, 'a', 1_580)), /that of task b all the time/)
  t.match(holders.judge(anArrival({}, 'b', 1_150)), /that of task a all the time/)
  t.match(holders.judge(anArrival({}, 'b', 1_350)), /was not its/)
  t.equal(holders.judge(anArrival({}, 'b', 1_450)), undefined, 'it may just have begun')
  t.equal(holders.judge(anArrival({}, 'b', 1_560)), undefined, 'the sender knew no better')
  t.match(holders.judge(anArrival({}, 'c', 1_350)), /task c \(of undefined\)/)
  t.equal(holders.lives, 2)
  t.equal(holders.reused, 1)
  t.equal(holders.knownUntilMs, 1_600)
  t.end()
})

t.test('a virtual address is answered by tasks of its service only', (t) => {
  const holders = new Holders()
  const tasks = [aTask('a', 's1'), aTask('b', 's2', other)]
  for (const atMs of [1_000, 1_100]) holders.note(aPicture(atMs, tasks, { s1: 2, s2: 3 }))
  holders.note(aPicture(1_200, tasks, { s2: 3 }))
  for (const atMs of [1_300, 1_400]) holders.note(aPicture(atMs, tasks, { s2: 2 }))
  const vip = { kind: 'service', id: 's1', address: '10.1.0.2' } as const
  t.equal(holders.judge(anArrival(vip, 'a', 1_050)), undefined)
  t.match(holders.judge(anArrival(vip, 'b', 1_050)), /that of service s1 all the time/)
  t.equal(holders.judge(anArrival(vip, 'a', 1_250)), undefined, 'it is nobody else’s yet')
  t.match(holders.judge(anArrival(vip, 'a', 1_390)), /that of service s2 all the time/)
  t.equal(holders.judge(anArrival(vip, 'b', 1_390)), undefined)
  t.end()
})

t.test('an address that two have at once is told', (t) => {
  const holders = new Holders()
  t.same(holders.note(aPicture(1_000, [aTask('a', 's'), aTask('b', 's', other)])), [])
  const both = [aTask('a', 's'), aTask('b', 's')]
  t.same(holders.note(aPicture(1_100, both)), [`${address} is that of a and of b`])
  const ended = aTask('a', 's', { state: 640 })
  t.same(holders.note(aPicture(1_200, [ended, aTask('b', 's')])), [])
  t.end()
})
