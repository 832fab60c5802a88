import t from 'tap'
import { nodeId } from '../../../proto/objects/index.ts'
import { ManagerPicker } from '../../../worker/manager-picker.ts'

const all = ['m1', 'm2', 'm3'].map((name) => ({ nodeId: name, address: `${name}:2377` }))
const [m1 = { nodeId: '', address: '' }, m2 = m1, m3 = m1] = all
const random = (value: number) => ({ float: () => value, bytes: (n: number) => new Uint8Array(n) })

t.test('where a good session was lost is tried last, whatever failed before it', (t) => {
  for (const value of [0, 0.5, 0.99]) {
    const picker = new ManagerPicker(random(value), nodeId('w1'))
    picker.pick(all)
    picker.note(m1, false)
    picker.note(m2, false)
    t.equal(picker.pick(all), m3)
    picker.note(m3, true)
    t.not(picker.pick(all), m3, 'the others failed before, this one has just gone away')
    t.equal(picker.failures(m1), 0)
    t.equal(picker.failures(m3), 1)
  }
  t.end()
})

t.test('a manager tries itself first, unless it has failed', (t) => {
  const picker = new ManagerPicker(random(0), nodeId('m2'))
  t.equal(picker.pick(all), m2)
  picker.note(m2, false)
  t.equal(picker.pick(all), m1)
  t.equal(picker.pick([]), undefined)
  t.end()
})
