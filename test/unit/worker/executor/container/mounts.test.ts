import t from 'tap'
import {
  cleanPath,
  ociMounts,
  plannedMounts,
} from '../../../../../worker/executor/container/mounts.ts'
import type { Mount } from '../../../../../worker/executor/executor.ts'
import { imageHealth } from '../../../../../worker/image/image-health.ts'
import { aContainer } from '../../../../support/container-configs.ts'

const image = {
  env: [],
  entrypoint: [],
  command: [],
  workdir: '',
  user: '',
  stopSignal: '',
  volumes: ['/data', '/etc/../logs/'],
  labels: {},
  health: imageHealth({}, []),
  ports: [],
}
const planned = (mounts: readonly Mount[]): readonly Mount[] =>
  plannedMounts(aContainer('x', { mounts }), image)

t.test("the image's volumes are added where nothing else lies", async (t) => {
  t.same(planned([]), [
    { kind: 'volume', target: '/data' },
    { kind: 'volume', target: '/logs' },
  ])
  t.same(planned([{ kind: 'tmpfs', target: '/data/' }]), [
    { kind: 'tmpfs', target: '/data' },
    { kind: 'volume', target: '/logs' },
  ])
})

t.test('what cannot be mounted is refused', async (t) => {
  const refused = (mount: Mount, reason: RegExp): void => {
    t.throws(() => planned([mount]), { code: 'INVALID_ARGUMENT', message: reason })
  }
  refused({ kind: 'tmpfs', target: 'relative' }, /absolute/)
  refused({ kind: 'tmpfs', target: '/a/..' }, /can't be '\/'/)
  refused({ kind: 'bind', source: 'relative', target: '/x' }, /invalid bind mount source/)
  refused({ kind: 'bind', source: '/x', target: '/x', propagation: 'rshared' }, /use rslave/)
  t.throws(
    () =>
      planned([
        { kind: 'tmpfs', target: '/x' },
        { kind: 'volume', target: '/x/' },
      ]),
    { code: 'INVALID_ARGUMENT', message: /duplicate mount point: \/x/ },
  )
})

t.test('a read-only bind is so with all below it, unless it is not recursive', async (t) => {
  const bind = { kind: 'bind' as const, source: '/s', target: '/t', readOnly: true }
  const [one] = ociMounts([{ kind: 'bind', mount: bind, isFolder: true }])
  t.same(one?.options, ['rbind', 'rprivate', 'rro'])
  const [file] = ociMounts([{ kind: 'bind', mount: bind, isFolder: false }])
  t.same(file?.options, ['bind', 'private', 'ro'])
  const [flat] = ociMounts([
    { kind: 'bind', mount: { ...bind, nonRecursive: true }, isFolder: true },
  ])
  t.same(flat?.options, ['bind', 'private', 'ro'])
})

t.test('what lies in another mount comes after it, ours too', async (t) => {
  const ours = { destination: '/etc/hosts', type: 'bind', source: '/h', options: [] }
  const mounts = ociMounts(
    [
      { kind: 'tmpfs', mount: { kind: 'tmpfs', target: '/etc/deep/er' } },
      { kind: 'volume', target: '/etc', path: '/v', readOnly: false },
    ],
    [ours],
  )
  t.same(
    mounts.map((mount) => mount.destination),
    ['/etc', '/etc/hosts', '/etc/deep/er'],
  )
})

t.test('paths are cleaned and never leave the root', async (t) => {
  t.equal(cleanPath('/a//b/./c/../d/'), '/a/b/d')
  t.equal(cleanPath('/../../x'), '/x')
  t.equal(cleanPath('/'), '/')
})
