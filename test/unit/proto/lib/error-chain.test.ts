import t from 'tap'
import { chainText } from '../../../../proto/lib/error-chain.ts'

t.test('an error is told with its causes, each once', async (t) => {
  const deepest = new Error('registry answered 401')
  const middle = new Error('pull failed', { cause: deepest })
  t.equal(
    chainText(new Error('no image', { cause: middle })),
    'no image: pull failed: registry answered 401',
  )
  t.equal(
    chainText(new Error('x: registry answered 401', { cause: deepest })),
    'x: registry answered 401',
  )
  t.equal(chainText('text'), 'text')
  const loop = new Error('a')
  loop.cause = loop
  t.equal(chainText(loop), 'a', 'one that causes itself ends')
})
