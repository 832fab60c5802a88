// Templates of services, secrets and configs (swarm-semantics 7.5).
import t from 'tap'
import { hasCode } from '../../../../proto/errors.ts'
import {
  expandPayload,
  expandTemplate,
  type PayloadFunctions,
  type TemplateContext,
} from '../../../../proto/go-template/task-template.ts'

const context: TemplateContext = {
  service: { id: 's1', name: 'wéb', labels: { tier: 'front', 'a.b': 'dots' } },
  node: { id: 'n1', hostname: 'host-1', os: 'linux', architecture: 'x86_64' },
  task: { id: 't1', name: 'wéb.2.t1', slot: '2' },
}
const expand = (text: string): string => expandTemplate(text, 'env A', context)

const functions: PayloadFunctions = {
  env: (name) => (name === 'MODE' ? 'fäst' : ''),
  secret: (target) => Buffer.from(target === 'db' ? 'hunter2' : [0, 255, 128]),
  config: () => Buffer.from('conf'),
}
const payload = (text: string): string =>
  Buffer.from(expandPayload(Buffer.from(text), context, functions)).toString()

t.test('every field of a service, node and task', async (t) => {
  const fields = [
    ['.Service.ID', 's1'],
    ['.Service.Name', 'wéb'],
    ['.Service.Labels.tier', 'front'],
    ['index .Service.Labels "a.b"', 'dots'],
    ['index .Service.Labels "nothing"', ''],
    ['.Node.ID', 'n1'],
    ['.Node.Hostname', 'host-1'],
    ['.Node.Platform.OS', 'linux'],
    ['.Node.Platform.Architecture', 'x86_64'],
    ['.Task.ID', 't1'],
    ['.Task.Name', 'wéb.2.t1'],
    ['.Task.Slot', '2'],
    ['join "-" .Task.Slot .Node.ID', '2-n1'],
    ['if eq .Task.Slot "2"}}second{{else}}other{{end', 'second'],
  ]
  for (const [text, value] of fields) t.equal(expand(`A={{${text}}}`), `A=${value}`)
  t.equal(expand('no template } {'), 'no template } {')
  t.equal(expand('{{- /* nothing */ -}}  x'), 'x')
})

t.test('what is unknown is refused, with its place and what there is', async (t) => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['{{.Nod.ID}}', /^env A: template: no field "Nod" here: known fields are Node, Service, Task/],
    ['{{.Task.Slots}}', /no field "Slots" here: known fields are ID, Name, Slot/],
    ['{{.Service.Labels.none}}', /no field "none"/],
    ['{{env "X"}}', /unknown function "env"/],
    ['{{json .}}', /unknown function "json"/],
    ['{{secret "X"}}', /unknown function "secret"/],
    ['{{.Task.ID', /env A: template parsing error/],
    ['{{template "x"}}', /env A: /],
  ]
  for (const [text, message] of refused) {
    t.throws(() => expand(text), { code: 'INVALID_ARGUMENT', message }, text)
  }
  t.throws(() => expand(`{{.X}}${'y'.repeat(1_000)}`), /\(in "\{\{\.X\}\}y{74}…"\)$/)
})

t.test('a config asks for the environment, secrets and other configs', async (t) => {
  t.equal(payload('mode={{env "MODE"}}{{env "NONE"}}'), 'mode=fäst')
  t.equal(payload('pw={{secret "db"}} on {{.Service.Name}}'), 'pw=hunter2 on wéb')
  t.equal(payload('{{config "x"}}{{range $i := slice "ab"}}{{end}}'.slice(0, 14)), 'conf')
  t.equal(payload('{{with secret "db"}}{{printf "%q" .}}{{end}}'), '"hunter2"')
})

t.test('bytes that are no text come through as they are', async (t) => {
  const raw = expandPayload(Buffer.from('{{secret "raw"}}'), context, functions)
  t.same([...raw], [0, 255, 128])
  const untouched = new Uint8Array([255, 123, 0])
  t.equal(expandPayload(untouched, context, functions), untouched)
})

t.test('a template that would never end, or fill memory, is refused', async (t) => {
  const doubling = `{{$a := "0123456789"}}${'{{$a = print $a $a}}'.repeat(40)}{{$a}}`
  const endless = [
    '{{range 1000000000}}x{{end}}',
    '{{range 1000}}{{range 1000}}x{{end}}{{end}}',
    '{{printf "%99999999d" 1}}',
    doubling,
  ]
  for (const text of endless) {
    try {
      payload(text)
      t.fail(text)
    } catch (err) {
      t.ok(hasCode(err, 'INVALID_ARGUMENT'), text.slice(0, 40))
    }
  }
  t.throws(() => payload('{{secret 5}}'), /secret needs a text/)
  t.throws(() => payload('{{secret}}'), /secret takes 1 argument/)
})
