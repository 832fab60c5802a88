import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import t from 'tap'
import { errorFromGrpc, errorToGrpc } from '../../../../proto/codec/grpc-error.ts'
import { SwarmError } from '../../../../proto/errors.ts'

function asClientSees(err: unknown): ServiceError {
  return errorToGrpc(err)
}

t.test('code, text and details arrive at the client', async (t) => {
  const sent = new SwarmError('NAME_CONFLICT', 'service "wéb" exists', {
    details: { name: 'wéb', count: 2, fatal: false },
  })
  const got = errorFromGrpc(asClientSees(sent))
  t.equal(got.code, 'NAME_CONFLICT')
  t.equal(got.message, 'service "wéb" exists')
  t.same(got.details, { name: 'wéb', count: 2, fatal: false })
  t.equal(asClientSees(sent).code, status.ALREADY_EXISTS)
})

t.test('what is no SwarmError becomes INTERNAL without its stack', async (t) => {
  const answer = errorToGrpc(new TypeError('x is undefined'))
  t.equal(answer.code, status.INTERNAL)
  t.equal(answer.details, 'unexpected error: x is undefined')
  t.equal(errorFromGrpc('odd').code, 'INTERNAL')
})

t.test('a failure of the transport is told by its status', async (t) => {
  const lost = Object.assign(new Error('14 UNAVAILABLE: no connection'), {
    code: status.UNAVAILABLE,
    details: 'no connection',
    metadata: new Metadata(),
  })
  const got = errorFromGrpc(lost)
  t.equal(got.code, 'UNAVAILABLE')
  t.equal(got.message, 'no connection')
  t.equal(errorFromGrpc({ ...lost }).code, 'INTERNAL')
})

t.test('a SwarmError passes through', async (t) => {
  const err = new SwarmError('NOT_FOUND', 'no')
  t.equal(errorFromGrpc(err), err)
})

t.test('long texts and large or foreign details do not break the trailers', async (t) => {
  const long = new SwarmError('INTERNAL', 'x'.repeat(10_000), {
    details: { field: 'y'.repeat(5_000) },
  })
  const got = errorFromGrpc(asClientSees(long))
  t.ok(got.message.length < 4100)
  t.same(got.details, {})
  const err = asClientSees(new SwarmError('NOT_FOUND', 'no'))
  err.metadata.set('tsswarm-error-details-bin', Buffer.from('{'))
  t.same(errorFromGrpc(err).details, {})
})
