import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { loadCompose } from '../../../../cli/stack/load-compose.ts'
import { stackSpec } from '../../../../cli/stack/stack-spec.ts'

const folder = 'cluster-examples'

const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())

for (const { name } of names) {
  t.test(`the example ${name} is a stack, and nothing in its file is without effect`, (t) => {
    const workingDir = resolve(folder, name)
    const readText = (path: string): string => readFileSync(path, 'utf8')
    const file = { name: 'compose.yml', text: readText(resolve(workingDir, 'compose.yml')) }
    const options = { variables: new Map(), workingDir, interpolates: true, readText }
    const project = loadCompose([file], options)
    const stack = stackSpec(name, project)
    t.same([...project.notices, ...project.unset, ...stack.notices], [])
    for (const { file: path } of stack.payloads) t.ok(readText(path), path)
    const readme = readText(resolve(workingDir, 'README.md'))
    for (const { spec } of stack.services) t.match(readme, spec.name, 'told in README.md')
    t.end()
  })
}
