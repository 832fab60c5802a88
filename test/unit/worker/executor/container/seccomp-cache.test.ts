// Compiled filters: kept for later containers and daemons, and no more than so many.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { SeccompCache } from '../../../../../worker/executor/container/seccomp-cache.ts'

interface World {
  readonly dir: string
  readonly open: () => Promise<SeccompCache>
  /** A container with these capabilities, whose filter crun compiled if it was given none. */
  readonly start: (cache: SeccompCache, capability: string) => Promise<string>
}

function aWorld(t: Test): World {
  const folder = t.testdir({
    'profile.json': '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[]}',
    filters: {},
    runtime: {},
  })
  const options = {
    profilePath: `${folder}/profile.json`,
    dir: `${folder}/filters`,
    runtimeDir: `${folder}/runtime`,
    filtersMax: 3,
  }
  let containers = 0
  return {
    dir: options.dir,
    open: async () => {
      const cache = new SeccompCache(options)
      await cache.open()
      return cache
    },
    start: async (cache, capability) => {
      const wish = { capabilities: [capability] }
      const { kind } = await cache.choice(wish, 'crun')
      if (kind === 'compiled') return kind
      containers += 1
      mkdirSync(`${options.runtimeDir}/c${containers}`)
      writeFileSync(`${options.runtimeDir}/c${containers}/seccomp.bpf`, capability)
      await cache.learn(wish, `c${containers}`)
      return kind
    },
  }
}

t.test('what was compiled once is used again, also by the next daemon', async (t) => {
  const { open, start } = aWorld(t)
  const cache = await open()
  t.equal(await start(cache, 'A'), 'profile')
  t.equal(await start(cache, 'A'), 'compiled')
  t.equal(await start(await open(), 'A'), 'compiled')
})

t.test(
  'those used last are kept, in memory and on disk, and newer ones are still learned',
  async (t) => {
    const { dir, open, start } = aWorld(t)
    const cache = await open()
    for (const one of ['A', 'B', 'C', 'A', 'D', 'E']) await start(cache, one)
    t.equal(readdirSync(dir).length, 3)
    t.same(
      [await start(cache, 'A'), await start(cache, 'D'), await start(cache, 'E')],
      ['compiled', 'compiled', 'compiled'],
    )
    t.equal(await start(cache, 'B'), 'profile', 'not used for longest')
    const next = await open()
    for (const one of ['F', 'G', 'H', 'I']) await start(next, one)
    t.ok(readdirSync(dir).length <= 6)
    await open()
    t.equal(readdirSync(dir).length, 3, 'what a former daemon left beyond that goes')
  },
)

t.test('a file that was not finished goes', async (t) => {
  const { dir, open } = aWorld(t)
  writeFileSync(`${dir}/${'a'.repeat(64)}.c1`, 'x')
  await open()
  t.same(readdirSync(dir), [])
})
