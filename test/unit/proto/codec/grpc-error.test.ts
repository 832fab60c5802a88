import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import t from 'tap'
import { fromGrpcError, toGrpcStatus } from '../../../../proto/codec/grpc-error.ts'
import { SwarmError } from '../../../../proto/errors.ts'

function asClientSees(err: unknown): ServiceError {
  const answer = toGrpcStatus(err)
  return Object.assign(new Error(`${answer.code}: ${answer.details}`), answer)
}

t.test('code, text and details arrive at the client', async (t) => {
  const sent = new SwarmError('NAME_CONFLICT', 'service "wéb" exists', {
    details: { name: 'wéb', count: 2, fatal: false },
  })
  const got = fromGrpcError(asClientSees(sent), 'm1:2377')
  t.equal(got.code, 'NAME_CONFLICT')
  t.equal(got.message, 'service "wéb" exists')
  t.same(got.details, { name: 'wéb', count: 2, fatal: false })
  t.equal(asClientSees(sent).code, status.ALREADY_EXISTS)
})

t.test('what is no SwarmError becomes INTERNAL without its stack', async (t) => {
  const answer = toGrpcStatus(new TypeError('x is undefined'))
  t.equal(answer.code, status.INTERNAL)
  t.equal(answer.details, 'internal error: x is undefined')
  t.equal(fromGrpcError('odd', 'm1').code, 'INTERNAL')
})

t.test('a failure of the transport is told by its status and names the peer', async (t) => {
  const lost = Object.assign(new Error('14 UNAVAILABLE: no connection'), {
    code: status.UNAVAILABLE,
    details: 'no connection',
    metadata: new Metadata(),
  })
  const got = fromGrpcError(lost, 'm1:2377')
  t.equal(got.code, 'UNAVAILABLE')
  t.equal(got.message, 'm1:2377: no connection')
  t.equal(fromGrpcError({ ...lost }, 'm1').code, 'INTERNAL')
})

t.test('a SwarmError passes through', async (t) => {
  const err = new SwarmError('NOT_FOUND', 'no')
  t.equal(fromGrpcError(err, 'm1'), err)
})

t.test('long texts and large or foreign details do not break the trailers', async (t) => {
  const long = new SwarmError('INTERNAL', 'x'.repeat(10_000), {
    details: { field: 'y'.repeat(5_000) },
  })
  const got = fromGrpcError(asClientSees(long), 'm1')
  t.ok(got.message.length < 2100)
  t.same(got.details, {})
  for (const text of ['{', 'null', '{"a":{}}']) {
    const err = asClientSees(new SwarmError('NOT_FOUND', 'no'))
    err.metadata.set('tsswarm-details-bin', Buffer.from(text))
    t.same(fromGrpcError(err, 'm1').details, {})
  }
})
