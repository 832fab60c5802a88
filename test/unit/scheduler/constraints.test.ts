import t from 'tap'
import type { Node } from '../../../proto/objects/index.ts'
import { matchesConstraint, parseConstraint, parseSpread } from '../../../scheduler/constraints.ts'
import { aNode } from '../../support/objects.ts'

function matches(text: string, node: Node): boolean {
  const parsed = parseConstraint(text)
  if (parsed.kind === 'error') throw new Error(parsed.reason)
  return matchesConstraint(parsed.constraint, node)
}

t.test('each key is matched against what the node has', async (t) => {
  const node = aNode({
    id: 'n1',
    hostname: 'web-1',
    address: '10.1.2.3',
    role: 'manager',
    labels: { zone: 'East' },
    engineLabels: { disk: 'ssd' },
    platform: { os: 'linux', architecture: 'amd64' },
  })
  const holds = [
    'node.id==n1',
    'node.id != n2',
    'NODE.HOSTNAME == WEB-1',
    'node.role==manager',
    'node.role!=worker',
    'node.platform.os==Linux',
    'node.platform.arch==amd64',
    // As Docker's nodes call it.
    'node.platform.arch==x86_64',
    'node.platform.arch!=aarch64',
    'node.labels.zone==east',
    'node.labels.zone!=west',
    'engine.labels.disk==ssd',
    'Engine.Labels.disk == SSD',
    'node.ip==10.1.2.3',
    'node.ip==10.1.0.0/16',
    'node.ip!=10.2.0.0/16',
    'node.ip==::ffff:10.1.2.3',
  ]
  for (const text of holds) t.equal(matches(text, node), true, text)
  const fails = [
    'node.id==n2',
    'node.role==worker',
    'node.platform.arch!=X86_64',
    'node.platform.arch==arm64',
    'node.platform.os==windows',
    'node.labels.zone!=EAST',
    'node.labels.Zone==east',
    'node.labels.missing==x',
    'engine.labels.zone==east',
    'node.ip==10.1.2.4',
    'node.ip!=10.0.0.0/8',
  ]
  for (const text of fails) t.equal(matches(text, node), false, text)
})

t.test('a label that the node lacks is the empty text, so != matches', async (t) => {
  t.equal(matches('node.labels.zone!=east', aNode({})), true)
  t.equal(matches('engine.labels.toString!=x', aNode({})), true)
})

t.test('an unknown key never matches, whatever the operator', async (t) => {
  t.equal(matches('node.label.zone==east', aNode({ labels: { zone: 'east' } })), false)
  t.equal(matches('node.label.zone!=east', aNode({})), false)
  t.equal(matches('node.labels.!=east', aNode({})), false)
})

t.test('the fact decides about the role, not the wish', async (t) => {
  const node = aNode({ role: 'worker', roleWish: 'manager' })
  t.equal(matches('node.role==worker', node), true)
})

t.test('what cannot be read is refused with a reason that names the remedy', async (t) => {
  const reasons = ['', 'node.labels.zone', 'node.labels.zone=east', '==east', 'node.role==']
    .concat(['a b==c', 'node.labels.zone==öst', 'node.ip==10.1.2', 'node.ip==10.0.0.0/33'])
    .concat(['node.ip==fe80::1::2', 'node.role==boss', 'node.id!=a==b'])
    .map((text) => {
      const parsed = parseConstraint(text)
      return parsed.kind === 'error' ? parsed.reason : 'accepted'
    })
  t.matchOnly(reasons, [
    'constraint "" has no operator: write KEY==VALUE or KEY!=VALUE',
    'constraint "node.labels.zone" has no operator: write KEY==VALUE or KEY!=VALUE',
    'constraint "node.labels.zone=east" has no operator: write KEY==VALUE or KEY!=VALUE',
    /^constraint "==east" has an invalid key "": the keys are node.id, /,
    'constraint "node.role==" has no value after the operator: write for example node.labels.zone==east',
    /^constraint "a b==c" has an invalid key "a b": the keys are node.id, /,
    'constraint "node.labels.zone==öst" has an invalid value "öst": write for example node.labels.zone==east',
    'constraint "node.ip==10.1.2" has "10.1.2" for an address: write one as 10.0.0.5 or 10.0.0.0/24',
    'constraint "node.ip==10.0.0.0/33" has "10.0.0.0/33" for an address: write one as 10.0.0.5 or 10.0.0.0/24',
    'constraint "node.ip==fe80::1::2" has "fe80::1::2" for an address: write one as 10.0.0.5 or 10.0.0.0/24',
    'constraint "node.role==boss" asks for the role "boss": roles are manager and worker',
    /^constraint "node.id!=a==b" has an invalid key "node.id!=a": /,
  ])
})

t.test('IPv6 addresses and ranges match in any spelling', async (t) => {
  const node = aNode({ address: '2001:db8::1' })
  t.equal(matches('node.ip==2001:0db8:0:0:0:0:0:1', node), true)
  t.equal(matches('node.ip==2001:db8::/32', node), true)
  t.equal(matches('node.ip==2001:db9::/32', node), false)
  t.equal(matches('node.ip==::/0', node), true)
  t.equal(matches('node.ip==0.0.0.0/0', node), false)
  t.equal(matches('node.ip==::1.2.3.4', aNode({ address: '::102:304' })), true)
})

t.test('tasks spread over labels only', async (t) => {
  t.same(parseSpread('node.labels.zone'), {
    kind: 'ok',
    preference: { field: 'node-label', key: 'zone' },
  })
  t.same(parseSpread(' ENGINE.labels.Rack '), {
    kind: 'ok',
    preference: { field: 'engine-label', key: 'Rack' },
  })
  t.match(parseSpread('node.hostname'), {
    kind: 'error',
    reason: /^placement preference "node.hostname" names no label: /,
  })
})
