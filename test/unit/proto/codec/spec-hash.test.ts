import fc from 'fast-check'
import t from 'tap'
import { hashTaskSpec } from '../../../../proto/codec/spec-hash.ts'
import { taskSpecFromProto, taskSpecToProto } from '../../../../proto/codec/task-spec.ts'
import * as proto from '../../../../proto/gen/tsswarm/v1/objects.ts'
import type { TaskSpec } from '../../../../proto/spec/service-spec.ts'
import { anyTaskSpec } from '../../../support/arbitraries.ts'
import { aTaskSpec } from '../../../support/objects.ts'

t.test('the hash is the same in every process and version', async (t) => {
  t.equal(hashTaskSpec(aTaskSpec({})), '21dd8e9cf34165582dad6f66920d7b03')
})

t.test('the hash does not depend on the order of keys or on the way over the wire', async (t) => {
  const property = fc.property(anyTaskSpec, (spec) => {
    const reversed = Object.fromEntries(Object.entries(spec).reverse()) as typeof spec
    const bytes = proto.TaskSpec.encode(taskSpecToProto(spec)).finish()
    const travelled = taskSpecFromProto(proto.TaskSpec.decode(bytes))
    return (
      hashTaskSpec(reversed) === hashTaskSpec(spec) &&
      hashTaskSpec(travelled) === hashTaskSpec(spec)
    )
  })
  fc.assert(property, { numRuns: 60 })
  t.pass()
})

t.test('any difference changes the hash', async (t) => {
  const hashes = [
    aTaskSpec({}),
    aTaskSpec({ forceUpdate: 1 }),
    aTaskSpec({ image: 'other' }),
    withContainer({ env: ['A=1', 'B=2'] }),
    withContainer({ env: ['B=2', 'A=1'] }),
    withContainer({ init: false }),
    withContainer({ openStdin: true }),
  ].map(hashTaskSpec)
  t.equal(new Set(hashes).size, hashes.length)
  t.match(hashes[0], /^[0-9a-f]{32}$/)
})

function withContainer(over: Partial<TaskSpec['container']>): TaskSpec {
  const spec = aTaskSpec({})
  return { ...spec, container: { ...spec.container, ...over } }
}
