// Stacks whose services depend on one another: in which order they are written, and what is refused before.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestDaemon, type TestDaemon } from '../../../support/daemon-server.ts'

type Graph = Readonly<Record<string, readonly string[] | Readonly<Record<string, string>>>>

interface World {
  readonly daemon: TestDaemon
  /** Of a file in which services depend on one another so: a list is `depends_on`, a mapping `x-depends-on`. */
  readonly stack: (verb: 'plan' | 'deploy', graph: Graph) => ReturnType<TestDaemon['run']>
}

async function aWorld(t: Test): Promise<World> {
  const daemon = await startTestDaemon()
  const folder = mkdtempSync(join(tmpdir(), 'tsswarm-stack-'))
  t.teardown(() => {
    daemon.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    daemon,
    stack: (verb, graph) => {
      const services = Object.entries(graph).map(([name, needs]) => {
        const key = Array.isArray(needs) ? 'depends_on' : 'x-depends-on'
        return `  ${name}: {image: i, ${key}: ${JSON.stringify(needs)}}\n`
      })
      writeFileSync(join(folder, 'c.yml'), `services:\n${services.join('')}`)
      return daemon.run(['stack', verb, '-c', join(folder, 'c.yml'), 's'])
    },
  }
}

t.test('what would wait for itself for good is refused before anything is made', async (t) => {
  const { daemon, stack } = await aWorld(t)
  const circle = { a: ['b'], b: { c: 'healthy' }, c: ['a'], d: ['a'] }
  for (const verb of ['plan', 'deploy'] as const) {
    const refused = await stack(verb, circle)
    t.match(refused, { code: 1, stdout: '' })
    t.match(
      refused.stderr,
      /c\.yml:2:\d+: services\.a\.depends_on: services would wait for one another: "s_a" -> "s_b" -> "s_c" -> "s_a"\. Remove one/,
    )
    t.match(await stack(verb, { a: [], b: { b: 'started' } }), {
      code: 1,
      stderr: /c\.yml:3:\d+: services\.b\.x-depends-on: names the service itself: remove it/,
    })
  }
  t.same(
    daemon.seen.filter(({ method }) => /^(create|update)/.test(method)),
    [],
  )
})

t.test('services are written behind those that they depend on', async (t) => {
  const { stack } = await aWorld(t)
  const first = await stack('deploy', { a: ['c'], b: [], c: ['d'], d: [] })
  t.match(first, { code: 0, stderr: '' }, 'none waits for one that does not exist yet')
  const names = [...first.stdout.matchAll(/service s_(\w)/g)].map(([, name]) => name)
  t.same(names, ['d', 'c', 'a', 'b'])
  const turned = { a: [], b: [], c: ['a'], d: { c: 'healthy' } }
  t.match(await stack('plan', turned), { code: 0, stdout: /3 to change/ })
  t.match(await stack('deploy', turned), { code: 0, stderr: '' })
  const back = { a: [], b: [], c: ['d'], d: [] }
  t.match(await stack('deploy', back), { code: 0, stderr: '' }, 'no circle on the way')
})
