// The package as somebody gets it: packed, installed without a network in an empty project, type-checked and run.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const packageFolder = fileURLToPath(new URL('..', import.meta.url))
const modules = join(packageFolder, '..', 'node_modules')
const directory = mkdtempSync(join(tmpdir(), 'raft-ts-package-'))
t.teardown(() => rmSync(directory, { recursive: true }))

interface Packed {
  readonly filename: string
  readonly version: string
  readonly files: readonly { readonly path: string }[]
}

/** Runs a program with nothing of this process but its path; its standard output. */
function run(cwd: string, program: string, ...args: string[]): string {
  const env = { PATH: process.env.PATH, HOME: directory, npm_config_update_notifier: 'false' }
  return execFileSync(program, args, { cwd, env, encoding: 'utf8', stdio: 'pipe' })
}

const readme = readFileSync(join(packageFolder, 'README.md'), 'utf8')

/** The first program of the README's section. */
function programOf(section: string): string {
  const found = new RegExp(`^## ${section}$[^]*?^\`\`\`ts\n([^]*?)^\`\`\`$`, 'm').exec(readme)?.[1]
  if (found === undefined) throw new Error(`the README has no program in its section ${section}`)
  return found
}

const consumer = `
import { defaultRaftTuning, driverRequests, openStorage, RaftNode, type Status } from 'raft-ts'
import { decodePeerMessage, encodePeerMessage, TcpNetwork, type RaftMember } from 'raft-ts/node'
import { simulate, type SimResult } from 'raft-ts/testing'

const result: SimResult = simulate(7, { faultsMs: 3000, peaceMs: 4000 })
const back = decodePeerMessage(encodePeerMessage({ kind: 'timeout-now', from: 'a', to: 'b', term: 1 }))
export const termOf = (status: Status): number => status.term
export const ask = async (member: RaftMember<number>): Promise<number | undefined> => {
  const outcome = await member.propose(new Uint8Array(1))
  return outcome.kind === 'committed' ? outcome.result : undefined
}
console.log(result.outcome, back.kind, defaultRaftTuning.electionTicks)
console.log([RaftNode, TcpNetwork, openStorage, driverRequests].map((it) => typeof it).join())
`

const tsconfig = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ['node'],
    outDir: 'out',
    rootDir: '.',
  },
  files: ['counter.ts', 'consumer.ts', 'simulation.ts'],
}

let packed: Packed
const project = join(directory, 'project')

t.test('it is packed with what is needed, and nothing else', async (t) => {
  const args = ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', directory]
  const [only] = JSON.parse(run(packageFolder, 'npm', ...args)) as readonly Packed[]
  packed = only as Packed
  const paths = new Set(packed.files.map(({ path }) => path))
  for (const path of [
    'package.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'docs/api/README.md',
  ]) {
    t.ok(paths.has(path), path)
  }
  const isExpected =
    /^(build|src|examples|docs)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/
  t.same(
    [...paths].filter((path) => !isExpected.test(path)),
    [],
  )
  t.same(
    [...paths].filter((path) => /test\.|tsbuildinfo|build-test|\/support\//.test(path)),
    [],
  )
  // Every map leads to a source that is there.
  const maps = [...paths].filter((path) => path.endsWith('.map'))
  const missing = maps.flatMap((path) => {
    const { sources } = JSON.parse(readFileSync(join(packageFolder, path), 'utf8'))
    return (sources as readonly string[]).filter(
      (source) =>
        existsSync(join(packageFolder, dirname(path), source)) &&
        !paths.has(posix.join(dirname(path), source)),
    )
  })
  t.ok(maps.length > 50)
  t.same(missing, [])
})

t.test('its manifest is complete, depends on nothing, and agrees with the changelog', async (t) => {
  const manifest = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))
  for (const field of [
    'description',
    'keywords',
    'license',
    'engines',
    'types',
    'exports',
    'files',
  ]) {
    t.ok(manifest[field], field)
  }
  t.equal(manifest.type, 'module')
  t.equal(manifest.sideEffects, false)
  for (const field of [
    'dependencies',
    'peerDependencies',
    'optionalDependencies',
    'devDependencies',
  ]) {
    t.equal(manifest[field], undefined, field)
  }
  const changelog = readFileSync(join(packageFolder, 'CHANGELOG.md'), 'utf8')
  t.equal(/^## (\S+)/m.exec(changelog)?.[1], manifest.version)
  const root = JSON.parse(readFileSync(join(packageFolder, '..', 'package.json'), 'utf8'))
  t.equal(root.dependencies['raft-ts'], manifest.version)
})

t.test('it installs offline in an empty project, type-checks strictly, and runs', async (t) => {
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}')
  const tarball = join(directory, packed.filename)
  run(project, 'npm', 'install', '--offline', '--no-audit', '--no-fund', tarball)
  t.same(Object.keys(JSON.parse(run(project, 'npm', 'ls', '--json', '--all')).dependencies), [
    'raft-ts',
  ])
  // Types of Node.js itself are the user's.
  symlinkSync(join(modules, '@types'), join(project, 'node_modules', '@types'))
  writeFileSync(join(project, 'counter.ts'), programOf('A counter cluster'))
  writeFileSync(join(project, 'simulation.ts'), programOf('Simulation'))
  writeFileSync(join(project, 'consumer.ts'), consumer)
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(tsconfig))
  try {
    run(project, process.execPath, join(modules, 'typescript', 'lib', 'tsc.js'), '-p', '.')
  } catch (err) {
    const { stdout = '', stderr = '' } = err as {
      readonly stdout?: string
      readonly stderr?: string
    }
    t.fail(`it does not compile: ${stdout}${stderr}${String(err)}`)
  }
  const output = run(project, process.execPath, 'out/consumer.js').trim().split('\n')
  t.same(output, ['passed timeout-now 10', 'function,function,function,function'])
})

t.test("the README's counter cluster has 30 lines at most, and counts", async (t) => {
  const lines = programOf('A counter cluster').trimEnd().split('\n')
  t.ok(lines.length <= 30, `${lines.length} lines`)
  t.ok(lines.every((line) => line.length <= 110))
  const output = run(project, process.execPath, 'out/counter.js')
  const counted = output.trim().split('\n')
  t.same(counted.slice(0, 3), ['1', '3', '6'])
  t.equal(counted.length, 6)
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    t.match(
      counted[i + 3],
      new RegExp(`^${id} reads \\{ kind: 'ready', index: \\d+, value: 6 \\}$`),
    )
  }
})

t.test("the README's simulation runs", async (t) => {
  t.match(run(project, process.execPath, 'out/simulation.js'), /^passed /)
})
