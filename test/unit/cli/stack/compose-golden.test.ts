// Every case of test/golden/compose gives what docker's client gave, byte for byte; see its README.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'tap'
import { loadCompose, projectText } from '../../../../cli/stack/load-compose.ts'
import { SwarmError } from '../../../../proto/errors.ts'

const root = join(process.cwd(), 'test/golden/compose')
const place = '/srv/compose'

interface Case {
  readonly name: string
  readonly files: readonly string[]
  readonly interpolates: boolean
  readonly variables: ReadonlyMap<string, string>
}

function readCase(name: string): Case {
  const optional = (file: string, otherwise: string): string => {
    const path = join(root, name, file)
    return existsSync(path) ? readFileSync(path, 'utf8') : otherwise
  }
  const words = optional('arguments', '-c compose.yml').trim().split(/\s+/)
  const assignments = optional('environment', '').split('\n').filter(Boolean)
  return {
    name,
    files: words.filter((_, i) => words[i - 1] === '-c'),
    interpolates: !words.includes('--skip-interpolation'),
    variables: new Map([
      ['HOME', '/home/user'],
      ...assignments.map((line): [string, string] => {
        const equals = line.indexOf('=')
        return [line.slice(0, equals), line.slice(equals + 1)]
      }),
    ]),
  }
}

function load({ name, files, interpolates, variables }: Case): string {
  const texts = files.map((file) => ({
    name: file,
    text: readFileSync(join(root, name, file), 'utf8'),
  }))
  const workingDir = join(place, name)
  return projectText(
    loadCompose(texts, {
      variables,
      workingDir,
      interpolates,
      readText: (path) => readFileSync(join(root, name, relative(workingDir, path)), 'utf8'),
    }),
  )
}

const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

test('stack config prints what docker stack config 28.2.2 prints (swarm-semantics 4)', async (t) => {
  t.ok(names.length >= 80, `${names.length} cases`)
  for (const name of names.filter((candidate) => !candidate.startsWith('error-'))) {
    const expected = readFileSync(join(root, name, 'expected.yml'), 'utf8')
    t.equal(load(readCase(name)), expected, name)
  }
})

test('what docker stack config 28.2.2 refuses is refused, with file, line and column', async (t) => {
  for (const name of names.filter((candidate) => candidate.startsWith('error-'))) {
    t.ok(existsSync(join(root, name, 'expected-error.txt')), `${name}: docker refuses it`)
    try {
      load(readCase(name))
      t.fail(`${name} was taken`)
    } catch (err) {
      if (!(err instanceof SwarmError)) throw err
      t.equal(err.code, 'INVALID_ARGUMENT', name)
      t.match(err.message, /^(compose|over)\.yml:\d+:\d+: ./, `${name}: ${err.message}`)
    }
  }
})
