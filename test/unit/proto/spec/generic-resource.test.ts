import t from 'tap'
import { genericEnv, genericText } from '../../../../proto/objects/index.ts'
import { parseGenericResources } from '../../../../proto/spec/generic-resource.ts'

t.test('numbers and names are read, the names of one kind together', async (t) => {
  const resources = parseGenericResources(['gpu=GPU-a', 'lane=4', 'gpu=GPU-b'])
  t.same(resources, [
    { kind: 'gpu', count: 2, names: ['GPU-a', 'GPU-b'] },
    { kind: 'lane', count: 4, names: [] },
  ])
  t.same(resources.map(genericText), ['gpu=GPU-a,GPU-b', 'lane=4'])
  t.same(parseGenericResources([]), [])
})

t.test('swarm-semantics 5.3: a container is told in DOCKER_RESOURCE_<KIND>', async (t) => {
  const resources = parseGenericResources(['nvidia-gpu=a', 'nvidia-gpu=b', 'lane=4'])
  t.same(genericEnv(resources), ['DOCKER_RESOURCE_NVIDIA-GPU=a,b', 'DOCKER_RESOURCE_LANE=4'])
})

t.test('what is no resource is refused with what would be right', async (t) => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['gpu'], /"gpu" is no generic resource: write KIND=NUMBER, or KIND=NAME/],
    [['=3'], /is no generic resource/],
    [['gpu='], /is no generic resource/],
    [['g pu=3'], /is no generic resource/],
    [['gpu=0'], /"gpu=0": there must be at least 1/],
    [['gpu=-2'], /at least 1/],
    [['gpu=1000000001'], /at most 1000000000/],
    [['gpu=a b'], /"a b" is no name/],
    [['gpu=a,b'], /"a,b" is no name/],
    [['gpu=1', 'gpu=2'], /gpu is numbered twice: give it one number/],
    [['gpu=1', 'gpu=a'], /gpu has a number and names/],
    [['gpu=a', 'gpu=a'], /gpu=a is given twice: remove one/],
  ]
  for (const [texts, error] of cases) {
    t.throws(() => parseGenericResources(texts), error, texts.join(' '))
  }
})
