import t from 'tap'
import {
  familiarName,
  familiarReference,
  fullName,
  fullReference,
  parseReference,
  pinnedReference,
} from '../../../../worker/image/reference.ts'

const digest = `sha256:${'a'.repeat(64)}`

t.test('short names are of the default registry, a missing tag is latest', async (t) => {
  const full = (text: string): string => fullReference(parseReference(text))
  t.equal(full('nginx'), 'docker.io/library/nginx:latest')
  t.equal(full('lab/hello:1.2'), 'docker.io/lab/hello:1.2')
  t.equal(full('index.docker.io/nginx'), 'docker.io/library/nginx:latest')
  t.equal(full('localhost/x'), 'localhost/x:latest')
  t.equal(full('registry.lan/a/b/c'), 'registry.lan/a/b/c:latest')
  t.equal(full('10.0.0.1:5000/x:y'), '10.0.0.1:5000/x:y')
  t.equal(full('[fd00::1]:5000/x:y'), '[fd00::1]:5000/x:y')
  t.equal(full(`nginx@${digest}`), `docker.io/library/nginx@${digest}`)
  t.equal(full(`nginx:1@${digest}`), `docker.io/library/nginx:1@${digest}`)
})

t.test('the digest wins over the tag', async (t) => {
  const reference = parseReference(`nginx:1@${digest}`)
  t.equal(pinnedReference(reference), `docker.io/library/nginx@${digest}`)
  t.equal(pinnedReference(parseReference('nginx:1')), 'docker.io/library/nginx:1')
})

t.test('people see the short form', async (t) => {
  t.equal(familiarReference(parseReference('docker.io/library/nginx')), 'nginx:latest')
  t.equal(familiarName(parseReference('docker.io/lab/hello')), 'lab/hello')
  t.equal(familiarName(parseReference('docker.io/library/a/b')), 'library/a/b')
  t.equal(fullName(parseReference('r:1/x')), 'r:1/x')
})

t.test('what is no reference is refused with a reason', async (t) => {
  const refused = (text: string, reason: RegExp): void => {
    t.throws(() => parseReference(text), { code: 'INVALID_ARGUMENT', message: reason }, text)
  }
  refused('', /not name/)
  refused('a b', /not name/)
  refused('Nginx', /lowercase/)
  refused('a//b', /not name/)
  refused('a:', /no tag/)
  refused('a:-b', /no tag/)
  refused('a@sha256:12', /64 hexadecimal/)
  refused('a@md5:1', /64 hexadecimal/)
  refused(`a@${digest}@${digest}`, /not name/)
  refused('r:99999999/x', /not name/)
  refused(`${'a'.repeat(256)}`, /over 255/)
})
