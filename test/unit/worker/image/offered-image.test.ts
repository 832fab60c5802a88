import { tmpdir } from 'node:os'
import t from 'tap'
import { OfferedImages } from '../../../../worker/image/offered-image.ts'
import { platformOfConfig, platformsOf } from '../../../../worker/image/registry-manifest.ts'
import type { StoredImage } from '../../../../worker/image/store-index.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const never = new AbortController().signal

/** A registry as skopeo shows it; `local` is on this host. */
function aRegistry(
  answers: (argv: readonly string[]) => string | undefined,
  local: readonly string[] = [],
  why = 'no route to host',
) {
  const asked: string[] = []
  const clock = new VirtualClock()
  const stored = local.map(
    (name): StoredImage => ({
      id: 'a'.repeat(64),
      names: [name],
      digests: [],
      layerId: undefined,
      createdAtMs: 0,
    }),
  )
  const offered = new OfferedImages({
    clock,
    insecureRegistries: ['r.lan:5000'],
    store: {
      paths: { rootDir: '', runDir: tmpdir(), stateDir: '' },
      list: async () => stored,
      skopeo: async (argv, { timeoutMs }) => {
        asked.push(`${argv.join(' ')} (${timeoutMs} ms)`)
        const stdout = answers(argv)
        const stderr = stdout === undefined ? `level=fatal msg="${why}"` : ''
        return { code: stdout === undefined ? 1 : 0, stdout: stdout ?? '', stderr, sync: '' }
      },
    },
  })
  return { asked, clock, ask: (reference: string) => offered.ask(reference, never) }
}

const digest = `sha256:${'1'.repeat(64)}`
const linux = (architecture: string) => ({ digest, platform: { os: 'linux', architecture } })

t.test('an index says for which platforms there are images', async (t) => {
  const manifests = [
    linux('amd64'),
    linux('arm64'),
    linux('arm64'),
    { digest, platform: { os: 'unknown', architecture: 'unknown' } },
  ]
  const registry = aRegistry(() => JSON.stringify({ manifests }))
  const { digest: of, ...answer } = await registry.ask('r.lan:5000/team/app:1')
  t.match(of, /^sha256:[0-9a-f]{64}$/)
  t.same(answer, {
    platforms: [
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm64' },
    ],
    failure: '',
    isLocal: false,
  })
  t.same(registry.asked, [
    'inspect --raw --tls-verify=false --no-creds docker://r.lan:5000/team/app:1 (10000 ms)',
  ])
})

t.test('of one image its configuration says it', async (t) => {
  const registry = aRegistry((argv) =>
    argv.includes('--config')
      ? JSON.stringify({ os: 'linux', architecture: 'arm64', config: {} })
      : JSON.stringify({ layers: [], config: { digest } }),
  )
  const { digest: of, platforms } = await registry.ask('nginx')
  t.same(platforms, [{ os: 'linux', architecture: 'arm64' }])
  t.equal(
    registry.asked[1],
    `inspect --config --raw --no-creds docker://docker.io/library/nginx@${of} (10000 ms)`,
  )
})

t.test('a silent registry is no error, and not asked again soon for what is local', async (t) => {
  const name = 'docker.io/lab/hello:latest'
  const registry = aRegistry(() => undefined, [name])
  t.match(await registry.ask('lab/hello'), {
    platforms: [],
    isLocal: true,
    failure: /no route to host/,
  })
  t.match(await registry.ask('lab/hello'), { failure: /did not answer a moment ago/ })
  t.equal(registry.asked.length, 1)
  t.match(await registry.ask('nginx'), { isLocal: false, failure: /no route to host/ })
  t.equal(registry.asked.length, 2, 'whoever has no image hopes on')
  await registry.clock.advance(301_000)
  await registry.ask('lab/hello')
  t.match(registry.asked[2], /lab\/hello:latest \(1000 ms\)$/)
  await t.rejects(registry.ask('Bad Name'), { code: 'INVALID_ARGUMENT' })
})

t.test('an entry or configuration that does not say is for any platform', async (t) => {
  const entry = { digest, os: '', architecture: '' }
  t.same(platformsOf([{ digest, os: 'linux', architecture: 'arm64' }, entry]), [])
  t.same(platformOfConfig('{}'), [])
})

t.test('one that does not know the image, or not us, has answered', async (t) => {
  for (const why of ['manifest unknown', 'unauthorized']) {
    const registry = aRegistry(() => undefined, ['docker.io/lab/hello:latest'], why)
    for (let times = 1; times <= 2; times++) {
      t.not((await registry.ask('lab/hello')).failure, '')
      t.equal(registry.asked.length, times, why)
    }
  }
})
