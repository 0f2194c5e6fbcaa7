"""Writes breast_cancer.npz: scikit-learn's bundled table of 569 tumours, 30 standardised features, 1 for benign."""

import numpy as np
from sklearn.datasets import load_breast_cancer

table = load_breast_cancer()
x = (table.data - table.data.mean(axis=0)) / table.data.std(axis=0)
np.savez("breast_cancer.npz", x=x, t=table.target)
print(f"breast_cancer.npz: x {x.shape}, t {table.target.shape}")
