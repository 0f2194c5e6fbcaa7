"""Attempts to break what reads programs: one a line, `\\n` where a line ends."""

from __future__ import annotations

SCALARS = "x: param\n"
ARRAYS = "w: param[n]\nA: param[n, n]\nt: index[n]\nk: index\n"

REFUSED_OF_SCALARS = r"""
[]=x\nx
()=[x]\nx
np.linalg.os
f"{x!r}"
breakpoint()
input()
globals()
locals()["x"]
type(x)
setattr(x,"T",1)
delattr(x,"T")
compile("1","","eval")
x.__add__(x)
x.shape
x.shape[0]
x.shape[x]
x.real
x.T()
np.linalg
np.exp.exp(x)
exp.T
exp(x,x)
exp(y=x)
exp(*x)
sum(x for i in range(3), axis=0)
sum(axis=0)
sum(x, axis=x)
max()
max(x,x,key=x)
max(x for i in range(0))
sum(x for i in range(2**63-1))*x
sum(x for i in range(0,10,0))
sum(reversed(range(3)))
{i for i in x}
x if x
[x][True]
[x][1]
[x][:10**30]
[x][-10**30:10**30:7][0]
[x][x]
[x][::x]
[x,[x]]
[[x],[x,x]]
[]
[*[x]]
"a"*10**9
1<<100
x<<1
~x
x is x
x is None
x@x
x@[x]
nan
einsum("a->aa",[x])
einsum("a,a",[x])
einsum("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",[x])
einsum("a->->",[x])
einsum()
einsum("..."+"a",[x])
einsum("0",[x])
reshape([x],x)
reshape([x],(1.5,))
reshape([x],None)
zeros(10**18)[0]*x
arange(inf)
arange(0,5,x)
linspace(x,x,x)
diag(x)
diag([[[x]]])
trace([[x]],offset=-10**30)
stack(x)
transpose([x],0)
len()
bool(x)
str(x)
round(x,2)
divmod(x,x)
map(exp,[x])
norm([[x]],1)
norm([x],"fro")
softmax(x)
softmax([x],axis=1)
cross_entropy([x],0)
clip(x,a_min=1)
where(x)
stop_gradient()
grad(exp)(x)
grad
custom(x)
__debug__
_
self
value_and_grad(x)
np.sum(x, dtype=x)
np.max(x,0)
np.random.rand()
np.zeros((2,2),x)
np.where(x>0)
np.fft.fft(x)
y = x\ndel y\nx
global x\nx
import os\nx
from os import *\nx
class A: pass\nx
def f(a,*b): return a\nf(x)
def f(a,/): return a\nf(x)
def f(**a): return a\nf()
def f(a): a\nf(x)
def f(a): return f(a)\nf(x)
def f(a): return a\nf.x
def f(a): return a\nf(i for i in x)
def f(a):\n q: param\n return a\nf(x)
def f(a): return lambda: a\nf(x)
def range(a): return a\nsum(x for i in range(3))
def f(a): return a*a\ngrad(f,True)(x)
def f(a): return a*a\ngrad(f)
def f(a): return a*a\ngrad(f)([x])
def f(a): return [a,a]\ngrad(f)(x)
g = grad(g)\ng(x)
g = exp\ng(x)
if x: y=1\ny
if None: y=1\nelse: y=2\ny
return x, x
pass
y: index = 1.0\ny
y: param[2] = 1\ny
y: param[1]\ny[1]*x
y: param[10**9]\nsum(y)
y: param[n//0]\nz: data[n]\nsum(y)
y: param[-n]\nz: data[n]\nsum(y)
y: param[...]\nsum(y)
y: param[None]\nsum(y)
y: param["n, m"]\nsum(y)
y: param[f"{x}"]\nsum(y)
y: param[lambda: 0]\nsum(y)
y: param[n:=3]\nsum(y)
y: param | data\ny
y: Param\ny
checkpoint: option\nx
checkpoint: option[n] = 3\nx
checkpoint: option = 3\ncheckpoint: option = 4\nx
checkpoint: option = 3\ncheckpoint*x
x: data\nx
n: param\ny: data[n]\nn
np: param\nnp.exp(x)
for i in range(3): pass\nx
match x:\n case _: pass\nx
x @= x\nx
x[0] += 1\nx
y: param += 1\ny
'a\nx
x)
exp(x]
$x
`x`
x = = 1
x :
@x
x 1
.
x..T
u'a'
def
not not
x for
in
__debug__: param\nx
print x
exec 'x'
!x
/* */
"""

REFUSED_OF_ARRAYS = r"""
A[0,0,0]
A[t,t,t]
w[10**18]
w[-10**18]
w[2**63]
sum(w[::-n])
sum(w[::n])
sum(w[::k])
sum(w[::2**31+1])
sum(w[2**62:])
sum(w[:2**63])
sum(w[:10**100])
sum(w[-10**100:])
sum(w[0.5:])
sum(w[w:])
sum(w[t:])
w.shape[1]
A.shape[-3]
w.shape[k]
w.shape[:1]
w.shape
w@w@w
sum(diag(A,k=n))
sum(tril(A,k=n))
sum(zeros(t[0]))
sum(one_hot(t,k))
sum(one_hot(t,None))
sum(one_hot(t,classes=None))
sum(eye(None)*k)
sum(eye(3,None,None)*w[0])
sum(eye(3,k=None)*w[0])
sum(tril(A,None))
sum(triu(A,k=None))
sum(diag(w,None))
trace(A,None)
sum(diagonal(A,offset=None))
sum(linspace(w[0],1,None))
var(w,ddof=None)
sum(leaky_relu(w,None))
polygamma(w[0],2.0)
polygamma(2.0,w[0])
polygamma(-1,w[0])
polygamma(10**30,w[0])
polygamma(k>0,w[0])
sum(A,axis=(0,0))
sum(A,axis=(0,5))
sum(A,axis=0.5)
sum(A,axis=k)
sum(A,axis=10**30)
sum(A,axis=-10**30)
argmax(A,axis=(0,1))
w[floor(w[0])]
w[w[0]]
w[t>0]
w[[True,False]]
w[(0,0)]
max(w[0:0])
argmax(w[i] for i in range(n) if w[i]>0)
cumsum(w[i] for i in range(n))
solve(A,A,A)
solve(w,A)
einsum("ij->ji",w)
einsum("i,j->ij",w)
concatenate([w,A])
transpose(A,axes=(1,0,2))
len(0)
w[True]
k<<1
"""

ACCEPTED_OF_SCALARS = r"""
np.pi
sum(x, axis=())
sum(x, axis=[])
sum(x for (i,(j,k)) in enumerate(zip(range(3),range(3))))
[i for i in range(0)]
[x][0]
[x][[0]]
[x][::-1][0]
0x10*x
0o7*x
1e-999*x
0**-1*x
1//0*x
x<x<x<x
[x]@[x]
-[x][0]
--x
x**x**x
inf
einsum("",x)
einsum("->",x)
sum(arange(5,0,-1))*x
sum(linspace(0,1,0))*x
sum(linspace(0,1,1))*x
sum(linspace(0,x,10**12))
sum(diag([x],k=10**9))
concatenate([[x]],axis=None)
transpose([x],(0,))
float(x)
det([[x]])
norm(x)
std([x],ddof=-5)
cross_entropy_with_logits([[x,x]],[1])
clip(x)
clip(x,lo=x,hi=x)
where(x,x,x)
max([x], 0)
np.linalg.norm([x])
numpy.linalg.det([[x]])
def f(): return x\nf()
def f(f): return f\nf(x)
def exp(a): return a\nexp(x)
def f(a): return sum(a)\ngrad(f)(x)
def f(a): return floor(a)\ngrad(f)(2)
y: param[99999999999999999999]\nsum(y)
y: param[n*n*n*n*n]\nz: data[n]\nsum(y)
y: param[n,]\nsum(y)
y: param[()]\ny
y: param["n"]\nsum(y)
y: param.param\ny
y: gradc.param\ny
checkpoint: option = 3\nx
checkpoint: param\ncheckpoint
y: param; z: param; y*z
y: data[n]\nsum(x for n in range(3))
pi: param\npi
y: param[np]\nnp.exp(x)
x += 1\nx
x ++ x
# coding: latin-1\nx
"""

ACCEPTED_OF_ARRAYS = r"""
w[k]
w[k+1]
sum(w[k:])
sum(w[t])
A[t][0,0]
sum(A[t,:,None])
sum(A[None,t,...])
sum(w[t+t])
sum(w[t*2])
sum(w[t//2])
sum(w[t[k]:])
sum(sum(w[i:]) for i in range(n))
sum(sum(w[i:j:2]) for i in range(n) for j in range(i,n))
sum(w[i*j*k] for i in range(n) for j in range(i) for k in range(j))
sum(a*b for a,b in zip(w,[1,2,3]))
w.shape[-1]*w[0]
w+A
w if w>0 else 0
sum(w if w>0 else A)
reshape(A,(n*n,))@reshape(A,n*n)
reshape(A,(-1,))
reshape(A,(n+1,n-1))
reshape(w,(n-n,))
sum(diag(diag(w)))
one_hot(t,n)@w
A[argmax(w),argmin(w)]
w[[0,-1]]
std(w[i] for i in range(n))
any(w)
prod(A,axis=0)@w
solve(A,A)
einsum("ii->i",A)
einsum("i,j,k,l,m->",w,w,w,w,w)
einsum("ij,jk,kl->il",A,A,A)
einsum("...i,i",A,w)
concatenate([w,A],axis=None)
concatenate([w]*3)
len(w)*w[0]
n
n*w[0]
n**n*w[0]
w[0*n]
t@t*w[0]
sum(t**-1)*w[0]
t.T[0]*w[0]
-2**63*w[0]
abs(-2**63)*w[0]
sum(i*2**62 for i in range(n))*w[0]
[w]*2
sum(w[i+1] if i<n-1 else 0 for i in range(n))
"""


def texts(head: str, lines: str) -> list[str]:
    """The programs of a table."""
    return [head + line.replace("\\n", "\n") for line in lines.strip().splitlines()]
