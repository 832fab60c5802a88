// Go templates as docker users write them: lexer, parser, evaluator and functions together.
import t from 'tap'
import { SwarmError } from '../../../../proto/errors.ts'
import { evaluateTemplate } from '../../../../proto/go-template/evaluate.ts'
import type { Value } from '../../../../proto/go-template/functions.ts'
import { parseTemplate } from '../../../../proto/go-template/parser.ts'

const data = {
  Name: 'web',
  Replicas: 3,
  Global: false,
  Labels: { 'com.example.tier': 'front', b: '2' },
  Ports: [{ Published: 80 }, { Published: 443 }],
  Empty: [],
  Spec: { TaskTemplate: { ContainerSpec: { Image: 'nginx:1' } } },
} satisfies Value

const render = (source: string, value: Value = data): string =>
  evaluateTemplate(parseTemplate(source), value)

t.test('templates render as Go renders them', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['plain', 'plain'],
    ['{{.Name}}', 'web'],
    ['a {{ .Name }} b', 'a web b'],
    ['a {{- .Name -}} b', 'awebb'],
    ['{{.Name}}: {{.Replicas}}', 'web: 3'],
    ['{{/* nothing */}}x', 'x'],
    ['a {{- /* nothing */ -}} b', 'ab'],
    ['{{.Spec.TaskTemplate.ContainerSpec.Image}}', 'nginx:1'],
    ['{{(.Spec).TaskTemplate.ContainerSpec.Image}}', 'nginx:1'],
    ['{{json .Labels}}', '{"com.example.tier":"front","b":"2"}'],
    ['{{json .Name}}', '"web"'],
    ['{{.Labels}}', 'map[b:2 com.example.tier:front]'],
    ['{{index .Labels "com.example.tier"}}', 'front'],
    ['{{index .Labels "absent"}}', ''],
    ['{{(index .Ports 1).Published}}', '443'],
    ['{{index .Ports 0}}', 'map[Published:80]'],
    ['{{range .Ports}}{{.Published}},{{end}}', '80,443,'],
    ['{{range $i, $p := .Ports}}{{$i}}={{$p.Published}} {{end}}', '0=80 1=443 '],
    ['{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}', 'b=2;com.example.tier=front;'],
    ['{{range .Empty}}x{{else}}none{{end}}', 'none'],
    ['{{range .Ports}}{{if eq .Published 443}}{{break}}{{end}}{{.Published}}{{end}}', '80'],
    ['{{range .Ports}}{{if eq .Published 80}}{{continue}}{{end}}{{.Published}}{{end}}', '443'],
    ['{{range .Ports}}{{$.Name}} {{end}}', 'web web '],
    ['{{if .Global}}g{{else if .Name}}n{{else}}z{{end}}', 'n'],
    ['{{if and .Name (not .Global)}}yes{{end}}', 'yes'],
    ['{{if or .Global .Empty}}yes{{else}}no{{end}}', 'no'],
    ['{{and .Global .Unknown}}', 'false'],
    ['{{with .Spec.TaskTemplate}}{{.ContainerSpec.Image}}{{end}}', 'nginx:1'],
    ['{{with .Empty}}x{{else}}{{.Name}}{{end}}', 'web'],
    ['{{with .Empty}}x{{else with .Name}}{{.}}{{end}}', 'web'],
    ['{{.Name | upper}}', 'WEB'],
    ['{{.Name | printf "%s-%d" "a" 7 | len}}', '23'],
    ['{{upper "a"}}{{lower "B"}}{{title "some words"}}', 'AbSome Words'],
    ['{{truncate .Name 2}}|{{pad .Name 1 2}}|{{pad "" 1 2}}', 'we| web  |'],
    ['{{join (split "a,b,c" ",") "-"}}', 'a-b-c'],
    ['{{len .Ports}} {{len .Labels}} {{len .Name}}', '2 2 3'],
    ['{{slice .Name 1}} {{slice .Name 1 2}}', 'eb e'],
    ['{{println .Name 1}}', 'web 1\n'],
    ['{{print 1 2 "a" 3}}', '1 2a3'],
    [
      '{{eq .Replicas 1 3}} {{ne .Name "x"}} {{lt 1 2}} {{ge "b" "a"}} {{le 2 2}} {{gt 1 2}}',
      'true true true true true false',
    ],
    ['{{$x := .Name}}{{$x}}{{$x = "new"}}{{$x}}', 'webnew'],
    ['{{if true}}{{$x := 1}}{{$x}}{{end}}', '1'],
    ['{{"quoted \\"text\\"\\n"}}{{`raw\\n`}}', 'quoted "text"\nraw\\n'],
    ['{{true}} {{nil | json}} {{0x10}} {{-1.5}}', 'true null 16 -1.5'],
    [
      '{{printf "%5s|%-5s|%05d|%.2f|%q|%v|%t|%x|%%" "a" "b" 42 1.5 "c" .Empty true 255}}',
      '    a|b    |00042|1.50|"c"|[]|true|ff|%',
    ],
    [
      '{{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}}',
      '%!d(string=x) %!s(MISSING) a%!(EXTRA number=1)',
    ],
    ['{{range 2}}{{.}}{{end}}', '01'],
  ]
  for (const [source, expected] of cases) t.equal(render(source), expected, source)
})

t.test('a wrong template says where and what', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['{{', /character 1: this "\{\{" has no "\}\}"/],
    ['ab{{.Name', /character 3: this "\{\{" has no "\}\}"/],
    ['{{}}', /nothing between/],
    ['{{if .Name}}', /this "if" has no "end"/],
    ['{{if .Name}}{{else}}', /this "if" has no "end"/],
    ['{{if .Name}}{{else}}{{else}}{{end}}', /a second "else"/],
    ['{{end}}', /"end" without/],
    ['{{range .Ports}}{{else if}}{{end}}', /unexpected "if" after "else"/],
    ['{{break}}', /"break" outside/],
    ['{{template "x"}}', /not supported/],
    ['{{(.Name}}', /a "\)" is missing/],
    ['{{.Name)}}', /a "\)" too many/],
    ['{{.Name | }}', /a value is missing/],
    ['{{if}}{{end}}', /a value is missing/],
    ["{{'a'}}", /not in single quotes/],
    ['{{"a}}', /no closing quote/],
    ['{{"\\z"}}', /unknown escape/],
    ['{{&}}', /unexpected "&"/],
    ['{{/* x }}', /no "\*\/\}\}"/],
    ['{{.Nmae}}', /no field "Nmae" here: known fields are Empty, Global, Labels, Name/],
    ['{{.Name.First}}', /no field "First" here: web has no fields/],
    ['{{nosuch .Name}}', /unknown function "nosuch": known are and, eq/],
    ['{{$x}}', /undefined variable "\$x"/],
    ['{{.Name .Replicas}}', /\.Name is not a function/],
    ['{{upper}}', /upper takes 1 argument, not 0/],
    ['{{eq 1}}', /eq takes 2 or more arguments, not 1/],
    ['{{eq 1 "a"}}', /different types/],
    ['{{eq .Ports .Ports}}', /not lists or maps/],
    ['{{lt 1 "a"}}', /lt cannot compare/],
    ['{{upper 1}}', /upper needs a text, not 1/],
    ['{{truncate "a" "b"}}', /whole number/],
    ['{{index .Ports 2}}', /outside of a list of 2/],
    ['{{index .Name 1}}', /works on lists and maps/],
    ['{{index nil "a"}}', /nothing to look it up in/],
    ['{{slice .Name 9}}', /outside of a length of 3/],
    ['{{slice 1}}', /slice needs/],
    ['{{len 1}}', /len needs/],
    ['{{join .Name ","}}', /join needs a list/],
    ['{{range .Name}}{{end}}', /range cannot go over web/],
    ['{{printf "%y" 1}}', /no verb "%y"/],
  ]
  for (const [source, expected] of cases) {
    t.throws(() => render(source), { message: expected }, source)
    t.throws(() => render(source), SwarmError)
  }
})

t.test('with missing: no value, an absent field prints <no value>', async (t) => {
  const run = (source: string): string =>
    evaluateTemplate(parseTemplate(source), data, { missing: 'no value' })
  t.equal(run('{{.Spec.Absent.Deeper}}'), '<no value>')
  t.equal(run('{{if .Spec.Absent}}a{{else}}b{{end}}'), 'b')
  t.throws(() => run('{{.Name.First}}'), /has no fields/)
})
